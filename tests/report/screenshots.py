#!/usr/bin/env python3
"""Opens pages of `ferrotune report` and `ferrotune compare` in Chromium and checks what no test of Rust can see.

    python tests/report/screenshots.py run/report.html [MORE.html ...] --output DIR

For each page, on a telephone (390x844) and a desktop (1440x900), light and dark: no error on the console, nothing fetched but the file itself, every
section and its heading visible, nothing wider than the window, letters of drawings no smaller than 9 CSS pixels, and the tables of classes sort. The whole
page is saved as a PNG to look at. Needs playwright (`pip install playwright`) and Chromium: `playwright install chromium`, or that of the system
(`apt-get install chromium`), which is found by itself.
"""
import argparse
import shutil
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

SIZES = {"telephone": (390, 844), "narrow": (360, 640), "desktop": (1440, 900)}

CHECKS = """() => {
  const found = [];
  const root = document.documentElement;
  if (root.scrollWidth > root.clientWidth) found.push(`the page is ${root.scrollWidth} wide, the window ${root.clientWidth}`);
  const inBox = (element) => element.closest(".scroll, svg");
  for (const element of document.querySelectorAll("body *")) {
    const box = element.getBoundingClientRect();
    if (box.width > 0 && box.right > root.clientWidth + 1 && !inBox(element)) found.push(`<${element.tagName} class="${element.className}"> ends at ${box.right}`);
  }
  const sections = document.querySelectorAll("main section");
  if (!sections.length) found.push("no section");
  for (const section of sections) {
    const heading = section.querySelector("h2");
    const box = heading?.getBoundingClientRect();
    if (!box || box.width === 0 || box.height === 0) found.push(`section ${section.id} has no visible heading`);
    if (section.textContent.trim() === heading?.textContent.trim() && !section.querySelector("svg")) found.push(`section ${section.id} is empty`);
  }
  for (const text of document.querySelectorAll(".chart svg text")) {
    const svg = text.ownerSVGElement;
    const shown = parseFloat(getComputedStyle(text).fontSize) * svg.getBoundingClientRect().width / svg.viewBox.baseVal.width;
    if (shown < 9) { found.push(`letters of ${shown.toFixed(1)} pixels in "${svg.getAttribute("aria-label")}"`); break; }
  }
  for (const table of document.querySelectorAll("table.sortable")) {
    const button = table.tHead.rows[0].cells[1].querySelector("button");
    const values = () => [...table.tBodies[0].rows].map((row) => Number(row.cells[1].dataset.value));
    button.click();
    const up = values();
    button.click();
    const down = values();
    if (up.some((value, n) => n && value < up[n - 1]) || down.some((value, n) => n && value > down[n - 1])) found.push("a table does not sort");
  }
  return found;
}"""


def check(browser, page_file, size, scheme, output):
    width, height = SIZES[size]
    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
    page = context.new_page()
    found = []
    page.on("console", lambda message: found.append(f"console: {message.text}") if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: found.append(f"script: {error}"))
    page.on("request", lambda request: None if request.url == page_file.as_uri() else found.append(f"fetched {request.url}"))
    page.goto(page_file.as_uri())
    if output:
        name = f"{page_file.parent.name}-{page_file.stem}-{size}-{scheme}.png"
        page.screenshot(path=output / name, full_page=True)
    found += page.evaluate(CHECKS)
    context.close()
    return [f"{page_file} on {size}, {scheme}: {problem}" for problem in found]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pages", nargs="+", type=Path)
    parser.add_argument("--output", type=Path, help="folder for the PNGs")
    parser.add_argument("--browser", default=shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome"))
    args = parser.parse_args()
    if args.output:
        args.output.mkdir(parents=True, exist_ok=True)
    found = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=args.browser, args=["--no-sandbox"])
        for page in args.pages:
            for size in SIZES:
                for scheme in ("light", "dark"):
                    found += check(browser, page.resolve(), size, scheme, args.output)
        browser.close()
    print("\n".join(found) or f"{len(args.pages)} pages, nothing found")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
