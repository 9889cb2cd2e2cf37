//! Functions and classes that a pickle may name: values that every reader knows, classes of packages, and code.

/// What state dicts are made of: tensors and their element types, and plain values that scripts save beside them. Of each module, by
/// all the names that versions of Python and of packages have for it, what it holds.
const HARMLESS: [(&[&str], &[&str]); 22] = [
    (&["collections"], &["OrderedDict", "defaultdict", "Counter", "deque"]),
    (&["pathlib", "pathlib._local"], &["PosixPath", "WindowsPath", "PurePosixPath", "PureWindowsPath"]),
    (&["datetime"], &["datetime", "date", "time", "timedelta", "timezone"]),
    (&["torch.torch_version"], &["TorchVersion"]),
    (&["numpy.dtypes"], &["Float32DType", "Float64DType", "Int32DType", "Int64DType"]),
    (
        &["torch._utils"],
        &[
            "_rebuild_tensor",
            "_rebuild_tensor_v2",
            "_rebuild_tensor_v3",
            "_rebuild_parameter",
            "_rebuild_parameter_with_state",
        ],
    ),
    (&["torch._tensor"], &["_rebuild_from_type_v2"]),
    (&["torch.nn.parameter"], &["Parameter"]),
    (&["torch.storage"], &["UntypedStorage", "_UntypedStorage", "TypedStorage", "_TypedStorage"]),
    (
        &["torch"],
        &[
            "FloatStorage",
            "DoubleStorage",
            "HalfStorage",
            "BFloat16Storage",
            "LongStorage",
            "IntStorage",
            "ShortStorage",
            "CharStorage",
            "ByteStorage",
            "BoolStorage",
            "Tensor",
            "Size",
            "device",
            "float32",
            "float64",
            "float16",
            "bfloat16",
            "int64",
            "int32",
            "int16",
            "int8",
            "uint8",
            "bool",
        ],
    ),
    (&["numpy"], &["dtype", "ndarray"]),
    (&["numpy.core.multiarray", "numpy._core.multiarray"], &["scalar", "_reconstruct"]),
    (&["_codecs"], &["encode"]),
    (
        &["builtins", "__builtin__"],
        &[
            "set",
            "frozenset",
            "dict",
            "list",
            "tuple",
            "int",
            "long",
            "float",
            "complex",
            "bool",
            "str",
            "unicode",
            "bytes",
            "bytearray",
            "range",
            "xrange",
            "slice",
            "object",
        ],
    ),
    (&["argparse"], &["Namespace"]),
    (&["types"], &["SimpleNamespace"]),
    (&["decimal"], &["Decimal"]),
    (&["fractions"], &["Fraction"]),
    (&["uuid"], &["UUID"]),
    (&["copyreg", "copy_reg"], &["_reconstructor"]),
    (&["functools"], &["partial"]),
    (&["typing"], &["Any", "Union", "Optional", "List", "Dict", "Tuple"]),
];

/// Packages whose functions are passed over as classes are: parts of networks and of optimizers.
const PARTS: [&str; 3] = ["torch.nn.", "torch.optim.", "torch._C._nn"];

/// Python's own modules, of 2.7 and later, but those whose names scripts of one's own have more often. Their classes may start
/// processes or open files where they are called.
const STANDARD: &str = "\
    StringIO UserDict abc aifc antigravity anydbm argparse array ast asynchat asyncio asyncore atexit audioop base64 \
    bdb binascii bisect builtins bz2 cPickle cProfile cStringIO calendar cgi cgitb chunk cmath cmd code codecs codeop \
    collections colorsys commands compileall concurrent configparser contextlib contextvars copy copy_reg copyreg \
    crypt csv ctypes curses dataclasses datetime dbm decimal difflib dircache dis distutils dl doctest dummy_threading \
    email encodings ensurepip enum errno exceptions execfile faulthandler fcntl filecmp fileinput fnmatch fractions \
    ftplib functools gc genericpath getopt getpass gettext glob graphlib grp gzip hashlib heapq hmac html http idlelib \
    imaplib imghdr imp importlib imputil inspect io ipaddress itertools json keyword lib2to3 linecache locale logging \
    lzma macpath mailbox mailcap marshal math mimetools mimetypes mmap modulefinder msilib msvcrt multiprocessing \
    netrc nis nntplib nt ntpath nturl2path numbers opcode operator optparse os os2 ossaudiodev pathlib pdb pickle \
    pickletools pipes pkgutil platform plistlib popen2 poplib posix posixpath pprint profile pstats pty pwd py_compile \
    pyclbr pydoc pydoc_data pyexpat queue quopri random re readline reprlib resource rlcompleter runpy sched secrets \
    select selectors sets shelve shlex shutil signal site smtpd smtplib sndhdr socket socketserver spwd sqlite3 \
    sre_compile sre_constants sre_parse ssl stat statistics string stringprep struct subprocess sunau symtable sys \
    sysconfig syslog tabnanny tarfile telnetlib tempfile termios textwrap this threading time timeit tkinter token \
    tokenize tomllib trace traceback tracemalloc tty turtle turtledemo types typing unicodedata unittest urllib \
    urllib2 urlparse uu uuid venv warnings wave weakref webbrowser whichdb winreg winsound wsgiref xdrlib xml xmlrpc \
    zipapp zipfile zipimport zlib zoneinfo";

/// What a name in a pickle is for a reader that calls nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sort {
    /// Part of a state dict, or a plain value.
    Harmless,
    /// A class of a package or of somebody's script, such as a loss or a configuration: an object of it may lie beside the weights.
    Class,
    /// Anything else: a function, or what cannot be known.
    Code,
}

/// A function or class that a pickle names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Global {
    /// The module, dots and all.
    pub module: String,
    /// The name in it; of what is defined inside a class, with the class's name and a dot before it.
    pub name: String,
}

impl Global {
    pub fn sort(&self) -> Sort {
        let (module, name) = (self.module.as_str(), self.name.as_str());
        if HARMLESS.iter().any(|(modules, names)| modules.contains(&module) && names.contains(&name)) {
            Sort::Harmless
        } else if self.is_of_a_package() && (self.is_named_as_a_class() || self.is_part()) {
            Sort::Class
        } else {
            Sort::Code
        }
    }

    /// A layer of PyTorch's, no loss: where one is pickled, a whole model is.
    pub fn is_layer(&self) -> bool {
        self.module.starts_with("torch.nn.modules.") && self.module != "torch.nn.modules.loss"
    }

    fn is_of_a_package(&self) -> bool {
        let top = self.module.split('.').next().unwrap_or_default();
        let is_script = ["__main__", "__mp_main__"].contains(&top);
        let is_name = |part: &str| !part.is_empty() && part.chars().all(|c| c == '_' || c.is_alphanumeric());
        let is_standard = top.starts_with('_') || STANDARD.split_ascii_whitespace().any(|module| module == top);
        self.module.split('.').all(is_name) && (is_script || !is_standard)
    }

    /// Classes begin with a capital, functions do not.
    fn is_named_as_a_class(&self) -> bool {
        self.name.split('.').all(|part| part.trim_start_matches('_').starts_with(char::is_uppercase))
    }

    fn is_part(&self) -> bool {
        !self.name.contains('.') && PARTS.iter().any(|part| self.module.starts_with(part))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sort(global: &str) -> Sort {
        let (module, name) = global.split_once(':').unwrap();
        Global { module: module.into(), name: name.into() }.sort()
    }

    #[test]
    fn values_classes_and_code_are_told_apart() {
        for harmless in [
            "collections:deque",
            "datetime:timezone",
            "builtins:range",
            "__builtin__:range",
            "__builtin__:xrange",
            "numpy.core.multiarray:scalar",
            "numpy._core.multiarray:scalar",
            "pathlib._local:PosixPath",
            "torch:Size",
        ] {
            assert_eq!(sort(harmless), Sort::Harmless, "{harmless}");
        }
        for class in [
            "torch.optim.adam:Adam",
            "torch.nn.modules.loss:CrossEntropyLoss",
            "torch.nn.functional:relu",
            "omegaconf.dictconfig:DictConfig",
            "__main__:Config",
            "models._unet:_Block",
            "models.unet:UNet.Mode",
        ] {
            assert_eq!(sort(class), Sort::Class, "{class}");
        }
        for code in [
            "os:system",
            "posix:system",
            "nt:system",
            "builtins:eval",
            "__builtin__:execfile",
            "subprocess:Popen",
            "multiprocessing.process:Process",
            "_io:FileIO",
            "__main__:run",
            "torch.hub:load",
            "torch.nn.functional:torch.os.system",
            "numpy:os.Popen",
            "?:Size",
            ":Popen",
            "torch.nn.:",
            "a b:C",
        ] {
            assert_eq!(sort(code), Sort::Code, "{code}");
        }
    }
}
