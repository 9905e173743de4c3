"""Document pages in, their text and layout out: vision-language OCR models behind one route.

file -> documents -> pages -> engine (pixels + prompt -> text) -> layout (text -> elements) -> writers
"""
