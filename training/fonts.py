"""The fonts that pages are set in, all of Debian's under free licences, and those that training never sees."""

from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from PIL import ImageFont

FOLDER = Path("/usr/share/fonts")
PACKAGES = (  # of Debian's; wamerican is the list of words
    "fonts-cabin fonts-cantarell fonts-crosextra-caladea fonts-crosextra-carlito fonts-dejavu-core fonts-dejavu-extra "
    "fonts-freefont-ttf fonts-hack fonts-inconsolata fonts-lato fonts-liberation fonts-linuxlibertine fonts-open-sans "
    "fonts-roboto-slab fonts-roboto-unhinted fonts-sil-gentium-basic wamerican"
)


@dataclass(frozen=True)
class Family:
    """One typeface: the files of its regular style and of what headings and emphasis are set in."""

    name: str
    regular: str
    bold: str
    italic: str = ""


KNOWN = (
    Family("DejaVu Sans", "DejaVuSans.ttf", "DejaVuSans-Bold.ttf", "DejaVuSans-Oblique.ttf"),
    Family("DejaVu Sans Condensed", "DejaVuSansCondensed.ttf", "DejaVuSansCondensed-Bold.ttf"),
    Family("DejaVu Serif", "DejaVuSerif.ttf", "DejaVuSerif-Bold.ttf", "DejaVuSerif-Italic.ttf"),
    Family("DejaVu Sans Mono", "DejaVuSansMono.ttf", "DejaVuSansMono-Bold.ttf"),
    Family("Liberation Sans", "LiberationSans-Regular.ttf", "LiberationSans-Bold.ttf", "LiberationSans-Italic.ttf"),
    Family("Liberation Serif", "LiberationSerif-Regular.ttf", "LiberationSerif-Bold.ttf", "LiberationSerif-Italic.ttf"),
    Family("Liberation Mono", "LiberationMono-Regular.ttf", "LiberationMono-Bold.ttf"),
    Family("Lato", "Lato-Regular.ttf", "Lato-Bold.ttf", "Lato-Italic.ttf"),
    Family("Lato Medium", "Lato-Medium.ttf", "Lato-Heavy.ttf"),
    Family("Roboto", "Roboto-Regular.ttf", "Roboto-Bold.ttf", "Roboto-Italic.ttf"),
    Family("Carlito", "Carlito-Regular.ttf", "Carlito-Bold.ttf", "Carlito-Italic.ttf"),
    Family("Caladea", "Caladea-Regular.ttf", "Caladea-Bold.ttf", "Caladea-Italic.ttf"),
    Family("Gentium", "GenBasR.ttf", "GenBasB.ttf", "GenBasI.ttf"),
    Family("Gentium Book", "GenBkBasR.ttf", "GenBkBasB.ttf"),
    Family("Cabin", "Cabin-Regular.otf", "Cabin-Bold.otf", "Cabin-Italic.otf"),
    Family("Cantarell", "Cantarell-Regular.otf", "Cantarell-Bold.otf"),
    Family("FreeSans", "FreeSans.ttf", "FreeSansBold.ttf", "FreeSansOblique.ttf"),
    Family("FreeSerif", "FreeSerif.ttf", "FreeSerifBold.ttf", "FreeSerifItalic.ttf"),
    Family("Hack", "Hack-Regular.ttf", "Hack-Bold.ttf"),
    Family("Roboto Slab", "RobotoSlab-Regular.otf", "RobotoSlab-Bold.otf"),
)
HELD_OUT = (
    Family("Linux Libertine", "LinLibertine_R.otf", "LinLibertine_RB.otf", "LinLibertine_RI.otf"),
    Family("Linux Biolinum", "LinBiolinum_R.otf", "LinBiolinum_RB.otf"),
    Family("Open Sans", "OpenSans-Regular.ttf", "OpenSans-Bold.ttf", "OpenSans-Italic.ttf"),
    Family("Inconsolata", "Inconsolata.otf", "Inconsolata.otf"),
)


@dataclass(frozen=True)
class Type:
    """A font at one size, with the widths of characters at hand: asking the font for them costs more than drawing."""

    font: ImageFont.FreeTypeFont
    widths: dict[str, float] = field(default_factory=dict, compare=False)

    def width(self, character: str) -> float:
        """px from this character to the next."""
        if character not in self.widths:
            self.widths[character] = self.font.getlength(character)
        return self.widths[character]

    def length(self, text: str) -> float:
        """px, kerning left out."""
        return sum(map(self.width, text))


@lru_cache(maxsize=4096)
def load_font(file: str, size: int) -> Type:
    """A font at a size in px per em. Raises FileNotFoundError, with the packages to install, where it is not there."""
    path = _files().get(file)
    if path is None:
        raise FileNotFoundError(f"The font {file} is not under {FOLDER}. Run: apt-get install {PACKAGES}")
    return Type(ImageFont.truetype(str(path), size, layout_engine=ImageFont.Layout.BASIC))


@lru_cache(maxsize=1)
def _files() -> dict[str, Path]:
    return {path.name: path for path in FOLDER.rglob("*.?tf")}
