"""`python -m infra.docs` writes the generated pages, and removes those of providers that are gone."""

from __future__ import annotations

from infra.docs.pages import FOLDER, ROOT, pages


def main() -> None:
    wanted = pages()
    FOLDER.mkdir(parents=True, exist_ok=True)
    for path in sorted(FOLDER.glob("*.md")):
        if path not in wanted:
            path.unlink()
    for path, text in wanted.items():
        path.write_text(text, encoding="utf-8")
    print(f"{len(wanted)} pages in {FOLDER.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
