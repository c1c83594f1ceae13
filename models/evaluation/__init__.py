"""Scores and labels -> what a reader wants to know of a model. Pure, but for `grad_cam`; no TensorFlow."""

from models.evaluation.brief import evaluation_report

__all__ = ["evaluation_report"]
