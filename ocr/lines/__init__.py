"""Networks that find and read lines of print: where text stands on an image, what it says, which way a page is turned.

| file             | what it knows                                                                    |
|------------------|----------------------------------------------------------------------------------|
| `networks.py`    | onnxruntime: a file of the checkpoint, proven by its digest, as a function       |
| `components.py`  | the connected parts of a bitmap                                                  |
| `rectangles.py`  | rectangles that stand at any angle                                               |
| `detection.py`   | an image to the frames of its lines                                              |
| `recognition.py` | a line cut out of an image to its text and score                                 |
| `orientation.py` | an image to the probabilities of its quarter turns                               |
| `reader.py`      | all of it together: an image to lines, as they are read                          |

The networks are PP-OCRv6 small, trained by Baidu for PaddleOCR. Knows pixels and lines; no models, tasks, markdown or
files of the user's. The only room that imports onnxruntime.
"""
