"""Which images are to be predicted, as options; free of TensorFlow."""

import dataclasses

from base.errors import require
from base.options import option
from pipelines.sources.options import SourceOptions


@dataclasses.dataclass(frozen=True, kw_only=True)
class ImageFileOptions:
    """Paths, and what a table among them says. The table's options are those of `build_tfrecords.py`."""

    paths: tuple[str, ...] = option(
        help="image files; folders, at any depth; .zip, .tar, .tar.gz archives; globs, in quotes ('photos/**/*.jpg'); "
        ".csv or .tsv tables of images, labels not needed; '-': a list of all these from standard input, one a line. "
        "In folders and archives images are known by their names (.jpg, .png, ...)"
    )
    image_column: str = option("image", "table: column of the images' paths or names")
    image_suffix: str = option("", "table: what the image column's values lack, such as .jpg")
    images: str = option("", "table: folder, .zip or .tar of its images; default: the table's own folder")
    delimiter: str = option("", "table: what parts the columns, or 'tab'; default: found out")

    def __post_init__(self) -> None:
        require(all(self.paths), "Expected PATHS without an empty one", paths=list(self.paths))
        require(bool(self.image_column), "Expected --image-column to name a column", image_column=self.image_column)
        self.of_table("table.csv")

    def of_table(self, path: str) -> SourceOptions:
        """The options of a table as a source, its labels left aside."""
        return SourceOptions(
            source=path,
            image_column=self.image_column,
            label_column="",
            image_suffix=self.image_suffix,
            images=self.images,
            delimiter=self.delimiter,
        )

    @property
    def of_tables(self) -> dict[str, str]:
        """The options that only say something about tables, where they have another value than their default."""
        fields = [field for field in dataclasses.fields(self) if field.name != "paths"]
        return {f.name: getattr(self, f.name) for f in fields if getattr(self, f.name) != f.default}
