"""Which files go to large file storage and which are ignored: .gitattributes and .gitignore, as far as uploads need."""

import re

LFS_BYTES = 10 << 20  # from here on a file is large whatever its name

_LARGE = [
    "7z", "arrow", "bin", "bz2", "ckpt", "ftz", "gz", "h5", "joblib", "lfs.*", "mlmodel", "model", "msgpack", "npy",
    "npz", "onnx", "ot", "parquet", "pb", "pickle", "pkl", "pt", "pth", "rar", "safetensors", "tar", "tflite", "tgz",
    "wasm", "xz", "zip", "zst",
]
_LARGE_IN_DATASETS = [
    "lz4", "mds", "pcm", "sam", "raw", "aac", "flac", "mp3", "ogg", "wav", "bmp", "gif", "png", "tiff", "jpg", "jpeg",
    "webp", "mp4", "webm",
]


def initial_gitattributes(kind: str) -> bytes:
    patterns = [f"*.{name}" for name in _LARGE + (_LARGE_IN_DATASETS if kind == "datasets" else [])]
    patterns += ["saved_model/**/*", "*tfevents*"]
    return "".join(f"{pattern} filter=lfs diff=lfs merge=lfs -text\n" for pattern in patterns).encode()


def _expression(pattern: str) -> re.Pattern:
    """A git pattern as a regular expression over whole paths; one without a slash fits at any depth."""
    anchored = "/" in pattern.rstrip("/")
    out = []
    for piece in re.findall(r"\*\*/|/\*\*$|\*+|\?|\[[^\]]+\]|.", pattern.strip("/")):
        if piece == "**/":
            out.append("(?:.*/)?")
        elif piece == "/**":
            out.append("/.*")
        elif piece.startswith("*"):
            out.append("[^/]*")
        elif piece == "?":
            out.append("[^/]")
        elif len(piece) > 1:
            out.append("[^" + piece[2:] if piece[1] == "!" else piece)
        else:
            out.append(re.escape(piece))
    return re.compile(("" if anchored else "(?:.*/)?") + "".join(out), re.DOTALL)


def _fits(pattern: str, path: str) -> bool:
    try:
        return _expression(pattern).fullmatch(path) is not None
    except re.error:
        return False  # a pattern that git would not understand either


def is_large(path: str, size: int, gitattributes: str) -> bool:
    if size == 0:
        return False  # an empty LFS file cannot be uploaded
    if size > LFS_BYTES:
        return True
    large = False
    for line in gitattributes.splitlines():
        pattern, *attributes = line.split() or [""]
        if not pattern or pattern.startswith("#") or not _fits(pattern, path):
            continue
        for attribute in attributes:
            if attribute.lstrip("-!").split("=")[0] == "filter":
                large = attribute == "filter=lfs"
    return large


def is_ignored(path: str, gitignore: str) -> bool:
    """The last fitting line decides; a file in an ignored folder cannot be taken back."""
    parts = path.split("/")
    for depth in range(1, len(parts) + 1):
        ignored, is_folder = False, depth < len(parts)
        for line in gitignore.splitlines():
            line = line.rstrip()
            pattern = line.removeprefix("!")
            if not pattern or line.startswith("#") or (pattern.endswith("/") and not is_folder):
                continue
            if _fits(pattern, "/".join(parts[:depth])):
                ignored = not line.startswith("!")
        if ignored:
            return True
    return False
