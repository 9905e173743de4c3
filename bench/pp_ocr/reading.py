"""One page read by pp-ocr in a process of its own: `python -m bench.pp_ocr.reading IMAGE`.

Prints JSON: `text` as Free OCR gives it and `markdown`, the processor `seconds` of reading the page once, and those
from the start of the process until `first` text was there.
"""

import json
import sys
import time

from PIL import Image

from ocr.lines.networks import CHECKPOINT
from ocr.models.catalog import MODELS
from ocr.models.pp_ocr.engine import load
from ocr.models.tasks import FREE_OCR, GUNDAM, MARKDOWN, OCR_WITH_BOXES
from ocr.reading.reader import read_pages
from ocr.reading.request import Request
from ocr.settings import Settings
from ocr.types import Decoding, PageResult, Raw
from ocr.weights.installation import CHECKPOINTS


def main() -> None:
    image = Image.open(sys.argv[1]).convert("RGB")
    engine = load(CHECKPOINTS / CHECKPOINT, MODELS[CHECKPOINT], Settings(threads=1))

    def events(task: str):
        return read_pages(engine, Request(model=CHECKPOINT, resolution=GUNDAM, task=task), [(1, image)], Decoding())

    started = events(OCR_WITH_BOXES)
    next((event for event in started if isinstance(event, Raw) and event.text.strip("[]")), None)
    first = time.process_time()
    started.close()
    begun = time.process_time()
    results = {}
    for task in (FREE_OCR, MARKDOWN):
        *_, results[task] = events(task)
        assert isinstance(results[task], PageResult)
    seconds = (time.process_time() - begun) / 2
    print(
        json.dumps(
            {
                "text": results[FREE_OCR].text,
                "markdown": results[MARKDOWN].markdown,
                "seconds": seconds,
                "first": first,
            }
        )
    )


if __name__ == "__main__":
    main()
