"""What goes wrong in computing, as errors for the one who can mend it."""

import torch

from ocr.errors import ModelError, OCRError, SetupError


def explained(error: Exception, pages: int) -> OCRError:
    """The error of so many pages that were computed together: memory that ran out is the operator's to mend."""
    if isinstance(error, OCRError):
        return error
    first = next(iter(str(error).splitlines()), type(error).__name__)
    found: OCRError
    if isinstance(error, torch.OutOfMemoryError | MemoryError) or "DefaultCPUAllocator" in first:
        what = f"{pages} pages together" if pages > 1 else "a page"
        found = SetupError(
            f"There is not enough memory to read {what}; choose a smaller preset or fewer new tokens, or set "
            f"OCR_BATCH lower. ({first})"
        )
    else:
        found = ModelError(f"The model failed while it computed: {first}")
    found.__cause__ = error
    return found
