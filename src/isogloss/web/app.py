"""The explorer's script, which Streamlit runs anew at every change of a control. Started by `isogloss serve`."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from isogloss.web.settings import settings
from isogloss.web.views import PAGES, opener


def main() -> None:
    here = Path(__file__)
    # An icon by name would be fetched from another site.
    st.set_page_config(page_title="isogloss", page_icon=here.with_name("icon.png"), layout="wide")
    st.html(here.with_name("style.css"))
    shown = [page for page in PAGES if page.always or settings().root is not None]
    pages = [st.Page(opener(p.module), title=p.title, url_path=p.url, default=p is shown[0]) for p in shown]
    st.navigation(pages, position="top").run()


if __name__ == "__main__":
    main()
