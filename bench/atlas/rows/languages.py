# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Languages and their run times."""

from __future__ import annotations

from bench.atlas.row import Needs, Row

_D = Needs.DEBIAN


def _row(name: str, program: str, load: str, *argv: str, version: tuple[str, ...] = ()) -> Row:
    return Row(name, "Languages", program, load, argv, _D, version=version)


#: without a php.ini 128 MB are allowed
_NO_LIMIT = ("-d", "memory_limit=-1")
_PHP, _RUBY = ("php8.2", "--version"), ("ruby3.1", "--version")
_GO = (
    "HOME=. GOCACHE=$PWD/cache GOFLAGS=-mod=mod GOTOOLCHAIN=local {} build -o load "
    "{{loads}}/load.go && exec ./load"
)
#: the program of Mono's row; the runtime takes it as it is, when it is told which it is for
_DOTNET = (
    "mcs -out:load.dll {loads}/threads.cs && "
    'echo \'{"runtimeOptions":{"framework":{"name":"Microsoft.NETCore.App","version":"3.1.0"}}}\' '
    "> load.runtimeconfig.json && DOTNET_SYSTEM_GLOBALIZATION_INVARIANT=1 "
    "exec {build}/venv/dotnet/dotnet load.dll 200"
)
_SCHEME = (
    "(define kept (let loop ((i 0) (l '())) "
    "(if (< i 400000) (loop (+ i 1) (cons (make-string 20) l)) l)))"
)

ROWS = (
    _row(
        "php-fibers-1000",
        "PHP",
        "1,000 fibers",
        "php8.2",
        *_NO_LIMIT,
        "{loads}/fibers.php",
        "1000",
        version=_PHP,
    ),
    _row(
        "php-fibers-10000",
        "PHP",
        "10,000 fibers",
        "php8.2",
        *_NO_LIMIT,
        "{loads}/fibers.php",
        "10000",
        version=_PHP,
    ),
    _row(
        "php-fibers-10000-small",
        "PHP",
        "10,000 fibers, fiber.stack_size=64k",
        "php8.2",
        *_NO_LIMIT,
        "-d",
        "fiber.stack_size=64k",
        "{loads}/fibers.php",
        "10000",
        version=_PHP,
    ),
    _row(
        "ruby-fibers-1000",
        "Ruby",
        "1,000 fibers",
        "ruby3.1",
        "{loads}/fibers.rb",
        "1000",
        version=_RUBY,
    ),
    _row(
        "ruby-fibers-10000",
        "Ruby",
        "10,000 fibers",
        "ruby3.1",
        "{loads}/fibers.rb",
        "10000",
        version=_RUBY,
    ),
    _row(
        "crystal-fibers-10000",
        "Crystal",
        "10,000 fibers",
        "sh",
        "-c",
        "HOME=. CRYSTAL_CACHE_DIR=. crystal build -o fibers {loads}/fibers.cr && "
        "exec ./fibers 10000",
    ),
    _row(
        "luajit",
        "LuaJIT",
        "3,000 strings of up to 200 KB",
        "luajit",
        "{loads}/strings.lua",
        "3000",
        version=("luajit", "-v"),
    ),
    _row(
        "lua",
        "Lua",
        "3,000 strings of up to 200 KB",
        "lua5.4",
        "{loads}/strings.lua",
        "3000",
        version=("lua5.4", "-v"),
    ),
    _row(
        "lua-threshold",
        "Lua",
        "3,000 strings, MALLOC_MMAP_THRESHOLD_=1 GiB",
        "env",
        "MALLOC_MMAP_THRESHOLD_=1073741824",
        "lua5.4",
        "{loads}/strings.lua",
        "3000",
    ),
    _row(
        "go-1.19",
        "Go 1.19",
        "10,000 goroutines, half of a heap of 1 GiB given back",
        "sh",
        "-c",
        _GO.format("/usr/lib/go-1.19/bin/go"),
        version=("/usr/lib/go-1.19/bin/go", "version"),
    ),
    Row(
        "go-1.27",
        "Languages",
        "Go 1.27",
        "10,000 goroutines, half of a heap of 1 GiB given back",
        ("sh", "-c", _GO.format("{build}/venv/bin/go")),
        Needs.PYPI,
        version=("{build}/venv/bin/go", "version"),
    ),
    _row(
        "mono-threads",
        "Mono",
        "200 threads that allocate",
        "sh",
        "-c",
        "mcs -out:load.exe {loads}/threads.cs && exec mono load.exe 200",
        version=("mono", "--version"),
    ),
    Row(
        "dotnet-threads",
        "Languages",
        ".NET Core 3.1",
        "200 threads that allocate",
        ("sh", "-c", _DOTNET),
        _D,
        also=Needs.PYPI,
        version=("{build}/venv/dotnet/dotnet", "--info"),
    ),
    _row(
        "erlang",
        "Erlang",
        "100,000 processes",
        "erl",
        "+P",
        "200000",
        "-noshell",
        "-eval",
        "[spawn(fun() -> receive x -> ok end end) || _ <- lists:seq(1,100000)], "
        'io:format("READY~n"), io:get_line(""), halt().',
    ),
    _row(
        "sbcl",
        "SBCL",
        "400,000 strings",
        "sbcl",
        "--noinform",
        "--eval",
        "(progn (defvar *kept* (loop repeat 400000 collect (make-string 20))) "
        '(format t "READY~%") (finish-output) (read-line))',
        version=("sbcl", "--version"),
    ),
    _row(
        "guile",
        "Guile",
        "400,000 strings",
        "guile-3.0",
        "-c",
        _SCHEME + ' (display "READY\\n") (force-output) (read-char)',
        version=("guile-3.0", "--version"),
    ),
    _row(
        "racket",
        "Racket",
        "400,000 strings",
        "racket",
        "-e",
        _SCHEME + ' (display "READY\\n") (flush-output) (void (read-char))',
        version=("racket", "--version"),
    ),
    _row(
        "chez",
        "Chez Scheme",
        "400,000 strings",
        "sh",
        "-c",
        "echo '" + _SCHEME.replace("'()", "(list)") + '(display "READY\\n") (flush-output-port) '
        "(read-char)' > load.ss && exec chezscheme --script load.ss",
    ),
    _row(
        "ocaml",
        "OCaml",
        "400,000 blocks",
        "sh",
        "-c",
        "echo 'let kept = List.init 400000 (fun i -> Bytes.create (i mod 50)) in "
        'print_endline "READY"; ignore (read_line ()); ignore (List.length kept)\' > load.ml '
        "&& exec ocaml load.ml",
        version=("ocaml", "-version"),
    ),
    _row(
        "swipl",
        "SWI-Prolog",
        "20 threads",
        "swipl",
        "-g",
        "forall(between(1,20,_),thread_create(thread_get_message(_),_)),writeln('READY'),"
        "flush_output,read(_)",
        version=("swipl", "--version"),
    ),
    _row(
        "pypy",
        "PyPy",
        "200,000 objects",
        "pypy3",
        "{loads}/grow.py",
        "objects",
        "200000",
        version=("pypy3", "--version"),
    ),
    _row(
        "pypy-bytearrays",
        "PyPy",
        "1,000 bytearrays of 240 KiB",
        "pypy3",
        "{loads}/grow.py",
        "bytearrays",
        "1000",
    ),
    _row(
        "r",
        "R",
        "2,000 vectors of 160 KB",
        "sh",
        "-c",
        # unpacked, not installed: nobody has made the links of update-alternatives
        "LD_LIBRARY_PATH=$(echo /usr/lib/*-linux-gnu/blas):$(echo /usr/lib/*-linux-gnu/lapack) "
        'exec R --vanilla --slave -e "$0"',
        "kept <- lapply(1:2000, function(i) numeric(20000)); cat('READY\\n'); "
        "invisible(readLines('stdin'))",
        version=("R", "--version"),
    ),
    _row(
        "emacs",
        "Emacs",
        "400,000 strings",
        "emacs-nox",
        "-Q",
        "--batch",
        "--eval",
        "(let ((kept nil)) (dotimes (i 400000) (push (make-string 20 97) kept)) "
        '(princ "READY\\n") (read-from-minibuffer ""))',
        version=("emacs-nox", "--version"),
    ),
    _row(
        "gforth",
        "Gforth",
        "the interpreter",
        "gforth",
        "-e",
        ': say ." READY" cr ; say key drop bye',
    ),
    _row(
        "gawk",
        "gawk",
        "3,000 strings of up to 200 KB",
        "gawk",
        'BEGIN { for (i = 0; i < 3000; i++) { s = sprintf("%" (1000 * (i % 200 + 1)) "s", i); '
        'kept[i] = s } print "READY"; fflush(); getline < "-" }',
        version=("gawk", "--version"),
    ),
    _row(
        "perl",
        "Perl",
        "3,000 strings of 240 KB",
        "perl",
        "-e",
        'my @k; for my $i (1..3000) { my $s = ""; $s .= "x" x 4096 for 1..60; push @k, $s } '
        '$| = 1; print "READY\\n"; <STDIN>',
        version=("perl", "-e", "print $^V"),
    ),
    _row(
        "perl-threshold",
        "Perl",
        "3,000 strings, MALLOC_MMAP_THRESHOLD_=1 GiB",
        "env",
        "MALLOC_MMAP_THRESHOLD_=1073741824",
        "perl",
        "-e",
        'my @k; for my $i (1..3000) { my $s = ""; $s .= "x" x 4096 for 1..60; push @k, $s } '
        '$| = 1; print "READY\\n"; <STDIN>',
    ),
    _row(
        "neovim",
        "Neovim",
        "headless, 50,000 lines",
        "nvim",
        "--clean",
        "--headless",
        "-c",
        "call setline(1, range(1, 50000)) | call writefile(['READY'], '/dev/stdout') | sleep 600",
    ),
)
