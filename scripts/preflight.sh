#!/bin/sh
# What a fresh machine must have; each lack is one sentence that says what to do.
fail() { echo "setup: $1" >&2; exit 2; }

command -v python3 >/dev/null || fail "python3 is missing: install Python 3.11 or 3.12."
python3 -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 13))' ||
    fail "python3 is $(python3 -V 2>&1 | cut -d' ' -f2): put Python 3.11 or 3.12 first on PATH."
java=${JAVA_HOME:+$JAVA_HOME/bin/}java
command -v "$java" >/dev/null || fail "Java is missing: install a JDK 17 or newer (Debian: openjdk-17-jre-headless) or set JAVA_HOME."
major=$("$java" -version 2>&1 | sed -n 's/.*version "\([0-9]*\).*/\1/p' | head -n 1)
[ "${major:-0}" -ge 17 ] || fail "Java is version ${major:-unknown}: Spark 4.2 needs 17 or newer; set JAVA_HOME to one."
command -v g++ >/dev/null || fail "g++ is missing, with which vLLM compiles for this processor: install it (Debian: g++)."
python3 -c 'import sys, sysconfig; open(sysconfig.get_path("include") + "/Python.h")' 2>/dev/null ||
    fail "Python.h is missing, which vLLM compiles with: install it (Debian: python3-dev)."
python3 -c 'import ctypes; ctypes.CDLL("libnuma.so.1")' 2>/dev/null || fail "libnuma.so.1 is missing, which vLLM needs: install it (Debian: libnuma1)."
free=$(df -Pk . | awk 'NR == 2 {print int($4 / 1048576)}')
[ -d .venv ] || [ "$free" -ge 12 ] || fail "$free GiB free here: the environment needs 12 GiB; free some space or clone elsewhere."
[ "$free" -ge 1 ] || fail "less than 1 GiB free here: lake and models need more; free some space."
