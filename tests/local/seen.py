"""Text of a function that tells all that a program can see of its start; for programs that tests write."""

SEEN = """
import gc, os, signal, sys


def seen():
    descriptors = {number: os.readlink(f"/proc/self/fd/{number}") for number in (0, 1, 2)}
    opened = [n for n in range(3, 64) if os.path.exists(f"/proc/self/fd/{n}")]
    handlers = {str(number): str(signal.getsignal(number)) for number in signal.valid_signals()}
    standard = [(s.name, s.mode, s.encoding, s.errors, s.seekable(), s.line_buffering, s.write_through)
                for s in (sys.stdin, sys.stdout, sys.stderr)]
    return {
        "argv": sys.argv, "orig_argv": sys.orig_argv, "path": sys.path, "flags": str(sys.flags),
        "meta_path": str([getattr(f, "__name__", type(f)) for f in sys.meta_path]),
        "cwd": os.getcwd(), "env": dict(os.environ), "input": sys.stdin.read(), "nice": os.nice(0),
        "leads": os.getpgid(0) == os.getpid(), "descriptors": descriptors, "opened": opened,
        "handlers": handlers, "standard": standard, "hook": sys.excepthook is sys.__excepthook__,
        "folder": sorted(os.listdir(".")), "tmp": os.listdir(os.environ["TMPDIR"]),
        "collects": gc.isenabled(),
    }
"""
