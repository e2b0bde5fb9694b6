"""Images that are looked at and prompts that are asked for, joined by name to an annotation file, so that what is found
can be scored against it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from crqat_pipeline.detection_data.annotated_vocabulary import vocabulary_from_annotations
from crqat_pipeline.detection_data.annotation_file import image_file_name
from crqat_pipeline.evaluation.results_file import read_ground_truth
from crqat_pipeline.inference.video import is_video
from crqat_pipeline.runtime.lookup import near_name
from crqat_pipeline.structures.vocabulary import Vocabulary

ImageNames = Mapping[int, PurePosixPath]


@dataclass(frozen=True)
class AnnotationIds:
    """prompts with the id of the category that each stands for; source file -> image id; what a user should know."""

    prompts: tuple[str, ...]
    category_ids: tuple[int, ...]
    image_ids: Mapping[str, int]
    notes: tuple[str, ...]


def join_by_name(path: Path, files: Sequence[Path], prompts: Sequence[str] | None) -> AnnotationIds:
    """Ids of a COCO or LVIS file for these files and prompts; its own category names where no prompts are given.

    An image is the one of the same file name; where folders hold equal names, as much of the path as tells them apart.
    Raises ValueError for a file that could be several images, for two files of one image, for none that the annotations
    know, and for a prompt that names no category or several, always with ids and both names.
    """
    truth = read_ground_truth(path)
    asked, category_ids = _categories(vocabulary_from_annotations(truth), prompts, path)
    images = {int(image["id"]): PurePosixPath(image_file_name(image)) for image in truth["images"]}
    image_ids = dict(_images(files, images, path))
    pictures = [file for file in files if not is_video(file)]
    if not image_ids:
        raise ValueError(
            f"None of the {len(pictures)} images is in {path}, which names {len(images)}, such as "
            f"{str(next(iter(images.values())))!r}; got {str(next(iter(files), 'no file'))!r}. Give the folder of its "
            "images."
        )
    notes = []
    if len(image_ids) < len(pictures):
        notes.append(f"{len(pictures) - len(image_ids)} images are not in {path}: what is found there is not scored.")
    if len(image_ids) < len(images):
        notes.append(
            f"{len(images) - len(image_ids)} of {len(images)} images of {path} are not among the given ones: scored "
            "against all of it, they count as images in which nothing was found."
        )
    return AnnotationIds(asked, category_ids, image_ids, tuple(notes))


def _categories(
    vocabulary: Vocabulary, prompts: Sequence[str] | None, path: Path
) -> tuple[tuple[str, ...], tuple[int, ...]]:
    if prompts is None:
        return vocabulary.names, vocabulary.category_ids
    ids: dict[str, list[int]] = defaultdict(list)
    for names, category_id in zip(vocabulary.synonyms, vocabulary.category_ids, strict=True):
        for name in dict.fromkeys(_key(name) for name in names):
            ids[name].append(category_id)
    for prompt in prompts:
        found = ids.get(_key(prompt), [])
        if not found:
            near = near_name(_key(prompt), ids)
            hint = f" The nearest is {near!r}, category {ids[near][0]}." if near else ""
            raise ValueError(
                f"A prompt names a category of {path}; {prompt!r} names none of its {len(vocabulary)}.{hint} Leave out "
                "--prompts to ask for all of them."
            )
        if len(found) > 1:
            raise ValueError(
                f"A prompt names one category of {path}; {prompt!r} is a name of {', '.join(map(str, found))}. Leave "
                "out --prompts to ask for all of them."
            )
    return tuple(prompts), tuple(ids[_key(prompt)][0] for prompt in prompts)


def _images(files: Sequence[Path], images: ImageNames, path: Path) -> Iterator[tuple[str, int]]:
    by_name: dict[str, list[int]] = defaultdict(list)
    for image_id, name in images.items():
        by_name[name.name].append(image_id)
    owners: dict[int, Path] = {}
    for file in files:
        if is_video(file):
            continue
        fitting = _closest(file, by_name.get(file.name, []), images)
        if len(fitting) > 1:
            first, second = fitting[:2]
            raise ValueError(
                f"{file} could be image {first} ({str(images[first])!r}) or {second} ({str(images[second])!r}) of "
                f"{path}. Give the folder that these names start from."
            )
        for image_id in fitting:
            if image_id in owners:
                raise ValueError(
                    f"Image {image_id} of {path} is {str(images[image_id])!r}; both {owners[image_id]} and {file} have "
                    "this name. Give the folder that has one of them."
                )
            owners[image_id] = file
            yield str(file), image_id


def _closest(file: Path, candidates: Sequence[int], images: ImageNames) -> list[int]:
    """The candidates whose whole name ends the file's path, the longest; else those that share most of its end."""
    parts = file.absolute().parts
    ranks = {image_id: _rank(parts, images[image_id].parts) for image_id in candidates}
    best = max(ranks.values(), default=(False, 0))
    return [image_id for image_id, rank in ranks.items() if rank == best]


def _rank(parts: Sequence[str], name: Sequence[str]) -> tuple[bool, int]:
    shared = _shared(parts, name)
    return shared == len(name), shared


def _shared(first: Sequence[str], second: Sequence[str]) -> int:
    count = 0
    for one, other in zip(reversed(first), reversed(second), strict=False):
        if one != other:
            break
        count += 1
    return count


def _key(name: str) -> str:
    return name.strip().lower()
