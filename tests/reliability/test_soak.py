"""Cursors that come and go, as in a web application: memory, threads and files stay as they are."""

from __future__ import annotations

import sys

import pytest

from tests.reliability import RATINGS, amount, lines_of

pytestmark = [
    pytest.mark.newest,
    pytest.mark.skipif(sys.platform != "linux", reason="reads /proc"),
]

CURSORS = amount(30, 1000)
MEGABYTES = 50

# Of three cursors one is closed, one is closed but something refers to it still, and one is dropped
# without being closed.
SOAK = f"""
    import os, sys, threading
    import duckmf

    n = int(sys.argv[1])
    con = duckmf.connect(config={{"threads": 2}})
    con.execute("set enable_progress_bar = false")
    con.execute("{RATINGS}")
    con.execute("create table m as from mf_fit(s, u, i, r, n_factors := 256, epochs := 1)")
    held = []

    def state():
        pages = int(open("/proc/self/statm").read().split()[1])
        files = len(os.listdir("/proc/self/fd"))
        print(pages * os.sysconf("SC_PAGE_SIZE") // 10**6, threading.active_count(), files)

    for number in range(1, n + 1):
        cursor = con.cursor()
        duckmf.load(cursor)
        cursor.execute("set enable_progress_bar = false")
        lists = cursor.execute("from mf_recommend(m) limit 10").fetchall()
        lists += cursor.execute("from mf_similar_items(m) limit 10").fetchall()
        assert len(lists) == 20
        if number % 3:
            cursor.close()
        if number % 3 == 1:
            held.append(cursor)
        if number in (10, n):
            state()
"""


def test_cursors_that_read_lists_of_all_users():
    before, after = lines_of(SOAK, CURSORS, seconds=900)
    memory, threads, files = map(int, before.split())
    memory_now, threads_now, files_now = map(int, after.split())
    assert memory_now <= memory + MEGABYTES
    assert threads_now <= threads + 2, "helpers start when there is work for them"
    assert files_now <= files
