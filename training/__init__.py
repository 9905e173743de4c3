"""Trains a small checkpoint of DeepSeek-OCR from scratch on pages that it draws itself.

fonts, words -> pages (with the truth about them) -> answers (of each task) -> batches -> learner, train -> evaluate
"""
