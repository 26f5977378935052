"""Links to other sites are collected from all pages, and only those that lead nowhere are reported."""

import http.server
import threading
import time

import pytest

from tools import links
from tools.links import broken, external_links


@pytest.fixture
def server():
    """A site with a page, one that is gone, one that refuses robots, and one that never answers."""

    class Site(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            if self.path == "/slow":
                time.sleep(2)
            self.send_response({"/there": 200, "/robots": 403}.get(self.path, 404))
            self.end_headers()

        do_HEAD = do_GET

        def log_message(self, *arguments):
            pass

    site = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Site)
    thread = threading.Thread(target=site.serve_forever)
    thread.start()
    yield site.server_address[1]
    site.shutdown()
    thread.join()
    site.server_close()


def test_links_of_articles_are_collected_with_their_pages_and_links_inside_the_book_are_not():
    pages = {
        "a.html": "<header><a href='https://x.org/'></a></header><article><a href='https://y.org/'></a></article>",
        "b.html": "<p><a href='https://y.org/'></a><a href='a.html'></a><a href='#top'></a></p>",
    }
    assert external_links(pages) == {"https://y.org/": {"a.html", "b.html"}}


@pytest.mark.slow
def test_a_link_that_leads_nowhere_gets_one_line_with_its_pages(server, monkeypatch):
    monkeypatch.setattr(links, "REFUSE_ROBOTS", {"127.0.0.1"})
    here, elsewhere = f"http://127.0.0.1:{server}", f"http://localhost:{server}"
    asked = [f"{here}/there", f"{here}/gone", f"{here}/robots", f"{here}/slow", f"{elsewhere}/robots"]
    lines = sorted(broken({link: {"a.html", "b.html"} for link in asked}, seconds=0.5))
    wrong = [f"{here}/gone", f"{here}/slow", f"{elsewhere}/robots"]
    assert [line.split(": ")[0] for line in lines] == wrong
    assert all(line.endswith("(in a.html, b.html)") and "\n" not in line for line in lines)
