"""Where a picture comes from, as EXIF and XMP: the two forms in which picture programs read it.

Here belong the facts and their encoding as blocks of bytes; putting these into files is in ``containers``. What XMP
properties mean is said by Dublin Core (dc) and by IPTC, whose digital source type marks a picture as made by a model.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any
from xml.sax.saxutils import escape

from PIL import ExifTags, Image

_MADE_BY_A_MODEL = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
#: What XML 1.0 can't hold, however escaped.
_NO_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_PACKET = """<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:xmp="http://ns.adobe.com/xap/1.0/" \
xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/">
{properties}
</rdf:Description></rdf:RDF></x:xmpmeta>
<?xpacket end="r"?>"""


@dataclass(frozen=True)
class Provenance:
    """What is known of one picture. ``input_text`` is what the model was given, None if that was a picture.

    ``model_revision`` and ``model_licence`` are None where nobody told them, or where the registry has changed since.
    ``model_identity`` is the fingerprint of the model with its settings. ``seed`` is what the noise was drawn from,
    ``run_seed`` that of the run (-1: unseeded).
    """

    experiment: str
    network: str
    run_number: int
    sequence_number: int
    prompt: str
    input_text: str | None
    model: str
    model_revision: str | None
    model_licence: str | None
    model_identity: str | None
    seed: int
    run_seed: int
    made_at: datetime
    image_hash: str

    @property
    def title(self) -> str:
        """One line that names the picture."""
        return f"{self.experiment}, run {self.run_number}, step {self.sequence_number + 1}"

    def facts(self) -> dict[str, Any]:
        """All of it as values of JSON."""
        return {**vars(self), "made_at": self.made_at.astimezone(UTC).isoformat(), "software": software()}


@cache
def software() -> str:
    """Name and version of this package."""
    try:
        return f"panic_assets {version('panic-assets')}"
    except PackageNotFoundError:
        return "panic_assets"


def exif_of(known: Provenance) -> bytes:
    """An EXIF block: a TIFF file in little-endian order, without the word ``Exif`` before it.

    ImageDescription is the prompt, Artist the model, UserComment all facts as JSON in ASCII. Texts are UTF-8, as most
    programs read them, though EXIF 2 knows ASCII alone.
    """
    tags, details = ExifTags.Base, ExifTags.IFD.Exif
    exif = Image.Exif()
    exif[tags.ImageDescription] = known.prompt.replace("\0", " ").encode()
    exif[tags.Artist] = known.model.encode()
    exif[tags.Software] = software().encode()
    inner = exif.get_ifd(details)
    inner[tags.DateTimeOriginal] = known.made_at.astimezone(UTC).strftime("%Y:%m:%d %H:%M:%S")
    inner[tags.OffsetTimeOriginal] = "+00:00"
    inner[tags.UserComment] = b"ASCII\0\0\0" + json.dumps(known.facts(), sort_keys=True).encode("ascii")
    return exif.tobytes().removeprefix(b"Exif\0\0")


def xmp_of(known: Provenance) -> bytes:
    """An XMP packet in UTF-8: title, description, creator, source and subject of Dublin Core, and the source type."""
    subject = [known.experiment, *known.network.split(" -> "), f"seed {known.run_seed}"]
    facts = known.facts()
    source = "; ".join(f"{name}: {facts[name]}" for name in sorted(facts) if facts[name] is not None)
    properties = [
        _list("dc:title", "Alt", [known.title]),
        _list("dc:description", "Alt", [known.prompt]),
        _list("dc:creator", "Seq", [_creator(known)]),
        f"<dc:source>{_safe(source)}</dc:source>",
        _list("dc:subject", "Bag", list(dict.fromkeys(subject))),
        f"<xmp:CreatorTool>{_safe(software())}</xmp:CreatorTool>",
        f"<Iptc4xmpExt:DigitalSourceType>{_MADE_BY_A_MODEL}</Iptc4xmpExt:DigitalSourceType>",
    ]
    return _PACKET.format(properties="\n".join(properties)).encode()


def _creator(known: Provenance) -> str:
    return f"{known.model}@{known.model_revision}" if known.model_revision else known.model


def _list(name: str, kind: str, values: list[str]) -> str:
    language = ' xml:lang="x-default"' if kind == "Alt" else ""
    items = "".join(f"<rdf:li{language}>{_safe(value)}</rdf:li>" for value in values)
    return f"<{name}><rdf:{kind}>{items}</rdf:{kind}></{name}>"


def _safe(text: str) -> str:
    return escape(_NO_XML.sub("\ufffd", text))
