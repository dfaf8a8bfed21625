"""Reader, work and writer side by side: order kept, memory bounded, all stop together."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue
from typing import TypeVar

import cv2

T = TypeVar("T")
R = TypeVar("R")


def run_side_by_side(
    items: Iterable[T],
    work: Callable[[T], R],
    sink: Callable[[R], None],
    *,
    workers: int = 1,
) -> None:
    """Hand every item through `work` to `sink`, in order, the three running at the same time.

    One thread draws from `items`, `workers` threads call `work`, and the calling thread calls
    `sink`, so that Ctrl-C and signal handlers, which Python runs in the main thread, interrupt it.
    At most 2 × `workers` + 1 items exist at a time, however many there are.

    Whatever the three raise stops all of them and is raised here, the earliest item's first;
    every thread has ended when this function returns or raises. OpenCV, which otherwise spreads
    each call over all cores, keeps to its caller's thread meanwhile: the cores are busy already.
    """
    # A slot is taken before an item is drawn and given back after the sink is done with it. It is
    # the only bound that is needed: the queue never holds more futures than there are slots.
    slots = threading.Semaphore(2 * workers + 1)
    stopping = threading.Event()
    results: SimpleQueue[Future[R] | None] = SimpleQueue()

    def read(pool: ThreadPoolExecutor) -> None:
        source = iter(items)
        while True:
            slots.acquire()
            if stopping.is_set():
                return
            try:
                item = next(source)
            except StopIteration:
                results.put(None)
                return
            except BaseException as error:
                failed: Future[R] = Future()
                failed.set_exception(error)
                results.put(failed)
                return
            results.put(pool.submit(work, item))
            del item  # while this thread waits for a slot, the item must not count twice

    pool = ThreadPoolExecutor(workers, thread_name_prefix="work")
    reader = threading.Thread(target=read, args=(pool,), name="reader")
    opencv_threads = cv2.getNumThreads()
    try:
        cv2.setNumThreads(1)
        reader.start()
        while (future := results.get()) is not None:
            sink(future.result())
            del future
            slots.release()
    finally:
        stopping.set()
        slots.release()
        reader.join()
        pool.shutdown(cancel_futures=True)
        cv2.setNumThreads(opencv_threads)
