"""From the SOURCE argument to a source: a folder of images, arrays, or the embedded digits."""

import zipfile
from pathlib import Path

from base.errors import input_error, require
from pipelines.source_options import SourceOptions
from pipelines.sources import arrays, digits, folder
from pipelines.sources.source import Source

KINDS = "a folder of class folders, an .npz file, a folder of IDX files, or 'digits'"


def open_source(options: SourceOptions) -> Source:
    """Lists the images of a source.

    Args:
        options: Where it lies, and what is said about it. A folder that is called digits is `./digits`.

    Raises:
        InputError: Nothing there, nothing in it, or something that can't be labelled images.
    """
    name, class_names, value_range = options.source, options.class_names, options.value_range
    if name == digits.NAME:
        return digits.open_digits(class_names)
    path = Path(name)
    try:
        require(path.exists(), f"Expected SOURCE to be {KINDS}", source=name, do="There is nothing at that path.")
        if path.is_file():
            require(zipfile.is_zipfile(path), f"Expected SOURCE to be {KINDS}", source=name, do="This file is no .npz.")
            return arrays.open_npz(path, class_names, value_range)
        names = sorted(entry.name for entry in path.iterdir())
    except OSError as error:
        raise input_error("Expected a readable SOURCE", source=name, error=error.strerror or str(error)) from None
    if any(arrays.IDX_FILE.fullmatch(entry) for entry in names):
        return arrays.open_idx(path, class_names, value_range)
    require(
        value_range == "auto",
        "Expected --value-range only where SOURCE holds arrays: image files say themselves what their values mean",
        source=name,
        value_range=value_range,
        do="Leave the option out.",
    )
    return folder.open_folder(path, class_names)
