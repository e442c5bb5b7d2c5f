"""Compares pictures that picresize wrote as PNG with an independent reading of their sources.

Reads lines of "source<TAB>result" and prints "source<TAB>reader<TAB>mean<TAB>max" or
"source<TAB>none<TAB>why". The reader is Pillow, or ImageMagick for what Pillow can't read. Both
pictures are brought to 8-bit premultiplied RGBA in sRGB, upright, first frame.
"""
import io
import shutil
import subprocess
import sys

from PIL import Image, ImageChops, ImageCms, ImageMath, ImageOps, ImageStat

Image.MAX_IMAGE_PIXELS = None
# Version 7 is called "magick", and "convert" only for its predecessors' sake.
IMAGEMAGICK = "magick" if shutil.which("magick") else "convert"


def eight_bits(image):
    if image.mode.startswith("I;16"):
        return image.point(lambda value: value / 256).convert("L") if image.mode == "I;16" else image.convert("I").point(lambda value: value / 256).convert("L")
    if image.mode == "I":
        return image.point(lambda value: value / 256).convert("L")
    return image


def pillow(path):
    image = Image.open(path)
    image.seek(0)
    image.load()
    profile = image.info.get("icc_profile")
    image = ImageOps.exif_transpose(image)
    if profile and image.mode in ("RGB", "RGBA", "L", "CMYK"):
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            space = source.profile.xcolor_space.strip()
            if space == {"RGB": "RGB", "RGBA": "RGB", "L": "GRAY", "CMYK": "CMYK"}[image.mode]:
                alpha = image.getchannel("A") if image.mode == "RGBA" else None
                opaque = image.convert("RGB") if alpha else image
                image = ImageCms.profileToProfile(
                    opaque, source, ImageCms.createProfile("sRGB"), outputMode="RGB"
                )
                if alpha:
                    image.putalpha(alpha)
        except ImageCms.PyCMSError:
            pass
    return eight_bits(image).convert("RGBA")


def magick(path):
    png = subprocess.run(
        [IMAGEMAGICK, f"{path}[0]", "-auto-orient", "-colorspace", "sRGB", "-depth", "8", "PNG32:-"],
        check=True,
        capture_output=True,
        timeout=60,
    ).stdout
    return Image.open(io.BytesIO(png)).convert("RGBA")


def difference(expected, found):
    if expected.size != found.size:
        raise ValueError(f"{expected.size} is not {found.size}")
    expected, found = expected.convert("RGBa"), found.convert("RGBa")
    planes = [ImageChops.difference(a, b) for a, b in zip(expected.split(), found.split())]
    mean = max(ImageStat.Stat(plane).mean[0] for plane in planes)
    return mean, max(plane.getextrema()[1] for plane in planes)


for line in sys.stdin:
    source, result = line.rstrip("\n").split("\t")
    found = eight_bits(Image.open(result)).convert("RGBA")
    reasons = []
    for name, reader in (("Pillow", pillow), ("ImageMagick", magick)):
        try:
            mean, most = difference(reader(source), found)
        except Exception as error:
            reasons.append(f"{name}: {error}")
            continue
        print(f"{source}\t{name}\t{mean:.3f}\t{most}")
        break
    else:
        print(f"{source}\tnone\t{'; '.join(reasons)!r}")
