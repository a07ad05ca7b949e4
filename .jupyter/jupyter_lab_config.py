"""What `make lab` asks of JupyterLab beside the reader's own settings; labconfig/ has the defaults of its pages."""

c = get_config()  # noqa: F821 - Jupyter gives it

c.ServerApp.allow_root = True  # as in a container; for anybody else it changes nothing
c.LabApp.default_url = "/lab/tree/notebooks/README.md"
# Which tabs are open is remembered for this study, apart from what the reader opens elsewhere.
c.LabApp.workspaces_dir = ".jupyter/workspaces"
