"""The training loop: batches, epochs, early stopping, and a second model trained alongside."""

from __future__ import annotations

import math
from collections.abc import Callable

from personalens.networks.session_network import SessionNetwork
from personalens.training.checkpoints import Checkpoint
from personalens.training.devices import (
    compute_threads,
    second_thread,
    tensor_cores,
    threads_of_each,
)
from personalens.training.distributed import InTurn
from personalens.training.reporter import Reporter
from personalens.training.trainer import Trainer

__all__ = ["Reporter", "Trainer", "train"]


def train(
    trainer: Trainer,
    reporter: Reporter,
    *,
    validate: Callable[[SessionNetwork], float] | None = None,
    patience: int = 1,
    companion: Trainer | None = None,
) -> int:
    """Train for as many epochs as the reporter expects, or stop early and go back to the best.

    Parameters
    ----------
    trainer
        What is trained, in the calling thread.
    reporter
        Hears of it.
    validate
        Returns a figure after each epoch; higher is better. Without it every epoch is run.
    patience
        Epochs without a figure at least as high as the best after which to stop.
    companion
        Another model, such as that of all data, which goes through the same epochs in a second
        thread and ends with its weights after the same one. Two trainings side by side use two
        cores far better than one training on both.

    Returns
    -------
    int
        The epochs behind the weights, counted from 1.

    Notes
    -----
    With ``checkpoint_folder`` among the trainer's options the training goes on where an earlier one
    of the same data and options was broken off, and ends with the same weights, bit for bit.
    """
    trainers = [trainer] if companion is None else [trainer, companion]
    checkpoint = Checkpoint(trainers, reporter)
    course = checkpoint.resume()
    replicas = trainer.replicas
    threads = threads_of_each()
    second = InTurn() if replicas else second_thread(threads)
    with compute_threads(threads), tensor_cores(trainer.network.device), second:
        while course.epoch < reporter.epochs and course.epoch - course.best_epoch < patience:
            epoch = course.epoch + 1
            alongside = None if companion is None else second.submit(companion.run_epoch, epoch)
            try:
                listen = checkpoint.listener(reporter.listener(epoch), course)
                loss = trainer.run_epoch(epoch, listen)
                figure = math.inf if validate is None else validate(trainer.network)
                if replicas is not None:
                    figure = replicas.agree(figure)
                reporter.close_epoch(epoch, loss, None if validate is None else figure)
            except BaseException:
                for each in trainers:
                    each.stop()
                raise
            if alongside is not None:
                alongside.result()
            course.epoch = epoch
            if figure >= course.best:  # of equals the later one: a figure may be at its limit
                course.best, course.best_epoch = figure, epoch
                if validate is not None:
                    for each in trainers:
                        each.keep()
            checkpoint.save(course)
    if validate is not None:
        for each in trainers:
            each.go_back()
    reporter.finish()
    return course.best_epoch
