"""The members of a model file that is a zip: their sizes are looked at before anything is unpacked."""

import zipfile
import zlib
from collections.abc import Mapping
from io import BytesIO

from triggerforge.errors import ArtifactError

_OF_ZIP = (
    *(OSError, zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError),
    *(ValueError, KeyError, OverflowError),
)


def read_members(
    content: bytes, limits: Mapping[str, int], where: str, advice: str = "save the model again"
) -> dict[str, bytes]:
    """The members that `limits` names, those of them that are there; limits are in bytes, `advice`
    is what a user can do.

    Raises ArtifactError, which begins with `where`, for a damaged zip, a member over its limit, or one
    that is there twice.
    """
    try:
        with zipfile.ZipFile(BytesIO(content)) as archive:
            found = [member for member in archive.infolist() if member.filename in limits]
            for member in found:
                if member.file_size > limits[member.filename]:
                    raise ArtifactError(
                        f"{where}: {member.filename} would unpack to {member.file_size} bytes; at most "
                        f"{limits[member.filename]} are read, that is no model"
                    )
            if len({member.filename for member in found}) < len(found):
                raise ArtifactError(f"{where} holds a member twice; {advice}")
            return {member.filename: archive.read(member) for member in found}
    except _OF_ZIP as error:
        raise ArtifactError(f"{where} is damaged: {error}; {advice}") from error
