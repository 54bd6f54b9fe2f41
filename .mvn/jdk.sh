# Sourced by ./duo and .ci/run: finds a JDK that can compile and run duo.
# shellcheck shell=bash

minimum=25
vendor_url=https://adoptium.net/temurin/releases/?version=$minimum

say() {
    echo "duo: $*" >&2
}

fail() {
    say "$*"
    exit 2
}

# The feature release (25 for 25.0.3) of the JDK in folder $1; nothing when there is no compiler in it.
feature_of() {
    local version
    [ -x "$1/bin/java" ] && [ -x "$1/bin/javac" ] || return 0
    version=$(sed -n 's/^JAVA_VERSION="\(.*\)"$/\1/p' "$1/release" 2>/dev/null || true)
    [ -n "$version" ] || version=$("$1/bin/java" -version 2>&1 | sed -n 's/.* version "\([^"]*\)".*/\1/p' | head -n 1)
    version=${version%%[!0-9]*}
    echo "$version"
}

suitable() {
    local feature
    feature=$(feature_of "$1")
    [ -n "$feature" ] && [ "$feature" -ge "$minimum" ]
}

home_of_path_java() {
    local java
    java=$(command -v java 2>/dev/null) || return 0
    while [ -L "$java" ]; do
        local link
        link=$(readlink "$java")
        case $link in
            /*) java=$link ;;
            *) java=$(dirname "$java")/$link ;;
        esac
    done
    cd -P "$(dirname "$java")/.." 2>/dev/null && pwd
}

# Prints the home of the JDK to use: what the user chose, else the lowest suitable release in the usual folders.
find_jdk() {
    local home feature best='' best_feature=''
    if [ -n "${DUO_JAVA_HOME:-}" ]; then
        suitable "$DUO_JAVA_HOME" || fail "DUO_JAVA_HOME is $DUO_JAVA_HOME, which is not a JDK $minimum or newer; point it to one or unset it."
        echo "$DUO_JAVA_HOME"
        return
    fi
    for home in "${JAVA_HOME:-}" "$(home_of_path_java)"; do
        if [ -n "$home" ] && suitable "$home"; then
            echo "$home"
            return
        fi
    done
    for home in /usr/lib/jvm/* /usr/java/* /opt/* /opt/*/* /usr/local/* "$HOME"/.sdkman/candidates/java/* "$HOME"/.jdks/* \
        "$HOME"/.asdf/installs/java/* "$HOME"/.local/share/mise/installs/java/* \
        /Library/Java/JavaVirtualMachines/*/Contents/Home "$HOME"/Library/Java/JavaVirtualMachines/*/Contents/Home \
        /opt/homebrew/opt/openjdk*/libexec/openjdk.jdk/Contents/Home; do
        feature=$(feature_of "$home")
        if [ -n "$feature" ] && [ "$feature" -ge "$minimum" ] && { [ -z "$best" ] || [ "$feature" -lt "$best_feature" ]; }; then
            best=$home
            best_feature=$feature
        fi
    done
    [ -n "$best" ] || fail "no JDK $minimum or newer found (looked at DUO_JAVA_HOME, JAVA_HOME, java on the PATH and the usual" \
        "folders); install one, e.g. from $vendor_url, or set DUO_JAVA_HOME to its folder."
    echo "$best"
}
