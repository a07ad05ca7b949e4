"""Articles are folders of data: found, chosen by name, and refused by file, claim and field."""

from pathlib import Path

import pytest

from anime_growth import claims, clean, rules, sources
from anime_growth.errors import InputError

HEADER = "claim_id,source_id,paragraph,subject,measure,value,unit,period,attributed_to,kind"
ROW = "X1,S107,1,anime market,total value in USD,25,billion USD,2024,article,level"
RULE = "X1:\n  computed: market.total.level_usd.2024\n  unit: bn USD\n"


@pytest.fixture
def added(study: Path):
    """Add an article to a copy of the study: its claims and its rules, nothing else."""

    def add(rows: str = ROW, text: str | None = RULE, name: str = "another", header: str = HEADER) -> Path:
        folder = study / "data" / "raw" / "articles" / name / "2025-10-30"
        folder.mkdir(parents=True)
        (folder / "claims.csv").write_text(f"{header}\n{rows}\n", encoding="utf-8")
        if text is not None:
            (folder / "rules.yml").write_text(text, encoding="utf-8")
        return folder

    return add


def test_the_article_under_study_comes_first_and_others_by_name():
    assert rules.names() == ["anime_overtakes_autos", "ann_record_market"]
    assert [article.words for article in rules.articles()] == [
        "the article under study",
        "Anime News Network, 30 October 2025",
    ]


def test_a_folder_with_claims_and_rules_is_all_that_an_article_needs(added, described):
    added()
    sources.refuse_unlisted()
    found = rules.articles("another")
    assert [article.name for article in found] == ["another"]
    assert found[0].words == "Variety (copy), 30 October 2025"
    rows = {cell: {"source_id": "S001", "also": []} for cell in _rows(described)}
    (row,) = claims.judge(found, described, rows)[0].itertuples()
    assert (row.claim_id, row.verdict, row.computed) == ("X1", "supported", "USD 25.4 billion")


def _rows(q):
    return {name.split("#")[0] for item in q.values() for name in item.inputs if "?" in name}


def test_an_added_article_is_in_the_register_of_raw_files_with_its_hash(added):
    path = added() / "claims.csv"
    register = clean.raw_file_register().set_index("file")
    row = register.loc["articles/another/2025-10-30/claims.csv"]
    assert len(row["sha256"]) == 64
    path.write_text(path.read_text(encoding="utf-8").replace("25,", "26,"), encoding="utf-8")
    changed = clean.raw_file_register().set_index("file").loc["articles/another/2025-10-30/claims.csv", "sha256"]
    assert changed != row["sha256"]


def test_two_articles_may_use_the_same_claim_ids(added):
    added(ROW.replace("X1", "C01"), RULE.replace("X1", "C01"))
    assert [len(article.claims) for article in rules.articles()] == [47, 18, 1]


def test_articles_are_chosen_by_name_in_a_fixed_order():
    assert rules.chosen("all") == rules.names()
    assert rules.chosen("ann_record_market, anime_overtakes_autos") == rules.names()
    assert rules.chosen("ann_record_market") == ["ann_record_market"]


@pytest.mark.parametrize("wanted", ["nothing", "anime_overtakes_autos,nothing", "../articles", ""])
def test_an_unknown_article_is_refused_with_the_names_at_hand(wanted):
    with pytest.raises(InputError, match="Choose all or anime_overtakes_autos, ann_record_market"):
        rules.articles(wanted)


REFUSED = {
    "no rules": ({"text": None}, r"another/2025-10-30/rules\.yml: is missing"),
    "no rule for a claim": ({"text": "{}"}, r"rules\.yml, claim X1: has no rule"),
    "a rule for no claim": ({"text": f"{RULE}X2:\n  not_checkable: why\n"}, r"claim X2: is not in claims\.csv"),
    "a list of rules": ({"text": "- X1"}, r"rules\.yml: holds no rules by claim id"),
    "definitions as a list": ({"text": f"define: [a]\n{RULE}"}, "define: holds no quantities by key"),
    "a definition without a label": (
        {"text": f"define:\n  own.a.1: {{value: market.total.level.2024, unit: trn JPY}}\n{RULE}"},
        r"define own\.a\.1, field label: Field required",
    ),
    "a definition of another's key": (
        {"text": f"define:\n  market.a.1: {{value: market.total.level.2024, unit: trn JPY, label: x}}\n{RULE}"},
        r"define market\.a\.1: is no key of the article's own",
    ),
    "a tag that makes objects": ({"text": "X1: !!python/object/apply:os.getcwd []"}, "is not valid YAML"),
    "an unknown source": ({"rows": ROW.replace("S107", "S999")}, "field source_id: 'S999' is not in the register"),
    "an unknown source further down": (
        {"rows": f"{ROW}\n{ROW.replace('X1', 'X2').replace('S107', 'S998')}"},
        "row 3, field source_id: 'S998'",
    ),
    "an id that is no key": ({"rows": ROW.replace("X1", "X 1")}, "field claim_id: 'X 1' cannot be part of a key"),
    "a line break in a subject": (
        {"rows": ROW.replace("anime market", '"a\nb"')},
        r"subject: holds U\+000A, a line break",
    ),
    "a direction turned in a speaker": (
        {"rows": ROW.replace("article", "art\u202eicle")},
        r"field attributed_to: holds U\+202E, right-to-left override\. Write one plain line",
    ),
    "an escape code in a period": ({"rows": ROW.replace(",2024", ",\x1b[31m2024")}, r"field period: holds U\+001B"),
    "a separator of lines": ({"rows": ROW.replace("25,", "25\u2028,")}, r"value: holds U\+2028, line separator"),
    "an alias": ({"text": "X1: &a {not_checkable: why, x: *a}"}, "line 1: holds an alias"),
    "deep nesting": ({"text": f"X1: {'[' * 50000}{']' * 50000}"}, "line 1: holds deep nesting"),
    "a name for articles": ({"name": "A-b"}, "articles/A-b: cannot be an article's name"),
    "the name of all": ({"name": "all"}, "articles/all: cannot be an article's name"),
    "a name that every article has": (
        {"text": f"define:\n  own.claims.all: {{value: market.total.level.2024, unit: trn JPY, label: x}}\n{RULE}"},
        r"define own\.claims\.all: has a name that every article",
    ),
    "a missing column": ({"header": HEADER.replace(",kind", "")}, "columns differ from .*: missing kind"),
    "a claim twice": ({"rows": f"{ROW}\n{ROW}"}, "repeats a row"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_an_article_that_cannot_be_read_is_refused_by_file_and_claim(added, name):
    changes, message = REFUSED[name]
    added(**changes)
    with pytest.raises(InputError, match=message):
        rules.articles()


@pytest.mark.parametrize("letter", ["\u3000", "\u00a0", "\U0001f469\u200d\U0001f4bb", "\u845b\U000e0100", "\ufeff"])
def test_letters_that_stay_in_their_line_are_taken(added, letter):
    """Wide and fixed spaces, joined signs and variants are common in Japanese."""
    added(ROW.replace("anime market", f"anime{letter}market").replace("article", f"the{letter}author"))
    (article,) = rules.articles("another")
    assert article.claims["subject"].iloc[0] == f"anime{letter}market"


def test_rules_without_claims_are_not_passed_over(added):
    (added() / "claims.csv").unlink()
    with pytest.raises(InputError, match=r"another/2025-10-30: has rules but no claims\.csv"):
        rules.articles()


def test_an_article_in_two_folders_is_refused(added):
    folder = added()
    folder.rename(folder.with_name("2025-11-01"))
    other = folder.with_name("2025-11-02")
    other.mkdir()
    for path in folder.with_name("2025-11-01").iterdir():
        (other / path.name).write_bytes(path.read_bytes())
    with pytest.raises(InputError, match="is a second folder of article another"):
        rules.articles()


def test_every_quantity_that_the_rules_at_hand_name_is_known_in_the_default_run(described):
    """A caveat may name a quantity of its article's own."""
    for article in rules.articles():
        for claim_id, rule in article.rules.items():
            own = f"article.{article.name}."
            missing = [key for key in rule.used() if key not in described and not key.startswith(own)]
            assert not missing or rule.without, f"{article.name} {claim_id}: {missing}"
