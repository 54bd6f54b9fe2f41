#!/usr/bin/env bash
# Tests and measures duo's CUDA backend on this machine; everything that is needed but the driver and CUDA's libraries lies beside
# this file.
#
#   run.sh [RESULTS]    folder for logs, results.json and table.txt (default: duo-gpu-results)
#
#   STEPS="probe tck bench"  only these steps (default: all, in the order of the table)
#   LIMIT=SECONDS            time limit of each step instead of its own
#   JAVA_OPTS=OPTIONS        more options for the JVM
#   PYTHON=python3           the Python whose PyTorch is the peer, and whose CUDA libraries are used
#
# A step that fails or runs out of time does not stop the others. Exit code: 0 when all went well, 1 when a step failed, 3 when
# there is no GPU that can be used.
set -uo pipefail
here=$(cd -P "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# run.sh --step RESULTS FUNCTION is how this file runs one step in a process of its own.
within=''
[ "${1:-}" != --step ] || {
    within=$3
    shift
}
out=${1:-duo-gpu-results}
mkdir -p "$out"
out=$(cd -P "$out" && pwd)
python=${PYTHON:-python3}
steps=${STEPS:-probe tck models needle sanitizer kernels decode prefill mha capacity peer}
no_gpu=''
failed=''
rows=()
figures=$out/figures.tsv

# NVIDIA's Python packages and the toolkit keep their libraries in folders of their own.
cuda_folders() {
    "$python" - <<'PY' 2>/dev/null
import glob, site, sysconfig
places = {sysconfig.get_paths()["purelib"], *site.getsitepackages()}
print("\n".join(folder for place in sorted(places) for folder in sorted(glob.glob(place + "/nvidia/*/lib"))))
PY
    ls -d "${CUDA_HOME:-/usr/local/cuda}/lib64" /usr/local/cuda/lib64 2>/dev/null
}
if [ -z "$within" ]; then
    while read -r folder; do
        LD_LIBRARY_PATH=${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}$folder
    done < <(cuda_folders)
    export LD_LIBRARY_PATH
fi

# shellcheck disable=SC2206  # the options are a list of words
java=("$here/runtime/bin/java" --add-modules jdk.incubator.vector --enable-native-access=ALL-UNNAMED
    --sun-misc-unsafe-memory-access=allow -Djava.awt.headless=true "-Dorg.bytedeco.javacpp.cachedir=$out/javacpp"
    "-Dduo.cuda.cache=$out/kernels" "-Dduo.shared=$here/shared" ${JAVA_OPTS:-})
export DJL_CACHE_DIR=$out/djl OPT_OUT_TRACKING=true

duo() {
    "${java[@]}" -Xmx16g -cp "$here/lib/*" org.duoattention.examples.cli.Launcher "$@"
}

# Runs classes of tests.
tests() {
    "${java[@]}" -Xmx8g "-Dduo.test.backends=cuda" -cp "$here/lib/*:$here/tests/*" org.junit.platform.console.ConsoleLauncher \
        execute --disable-banner --disable-ansi-colors --details=summary --fail-if-no-tests "$@"
}

note() { # status name seconds remark
    rows+=("$(printf '%-10s %-8s %6s s  %s' "$2" "$1" "$3" "$4")")
    printf '{"step": "%s", "status": "%s", "seconds": %s, "remark": "%s"}\n' "$2" "$1" "$3" \
        "$(tr -d '\\"\t' <<<"$4" | tr '\n' ' ' | sed 's/ *$//')" >>"$out/steps.jsonl"
    echo "== $2: $1 ${4:+($4)}"
}

# step NAME LIMIT FUNCTION: in a process of its own, so that a time limit ends all that it started.
step() {
    local name=$1 limit=${LIMIT:-$2} start=$SECONDS status=0
    case " $steps " in *" $name "*) ;; *) return ;; esac
    if [ -n "$no_gpu" ]; then
        note skipped "$name" 0 "no GPU: $no_gpu"
        return
    fi
    echo "== $name (at most $limit s, log: $out/$name.log)"
    timeout --kill-after=10 "$limit" bash "$here/run.sh" --step "$out" "$3" >"$out/$name.log" 2>&1 </dev/null || status=$?
    case $status in
        0) note ok "$name" $((SECONDS - start)) "$(tail -n 1 "$out/$name.log" | cut -c 1-100)" ;;
        77) note skipped "$name" $((SECONDS - start)) "$(tail -n 1 "$out/$name.log" | cut -c 1-200)" ;;
        124 | 137)
            failed=yes
            note timeout "$name" $((SECONDS - start)) "see $name.log"
            ;;
        *)
            failed=yes
            note failed "$name" $((SECONDS - start)) "exit code $status, see $name.log"
            ;;
    esac
}

skip() {
    echo "$*"
    exit 77
}

figure() { # name value unit
    printf '%s\t%s\t%s\n' "$1" "$2" "$3" >>"$figures"
}

# Puts the rows of a table of duo bench into the figures. A row ends with policy, phase, depth, tokens/s, GB/s, share of the
# host's bound (which says nothing here) and KV bytes.
bench() { # prefix options...
    local prefix=$1
    shift
    duo bench --backend cuda --quiet --json "$out/bench-$prefix.json" "$@" | tee "$out/bench-$prefix.txt" || return
    awk -v prefix="$prefix" '$(NF-5) == "decode" || $(NF-5) == "prefill" {
        bytes = $NF; gsub(",", "", bytes); name = prefix " " $(NF-5) " " $(NF-6) " at " $(NF-4)
        printf "%s\t%s\ttokens/s\n%s, bytes moved\t%s\tGB/s\n%s, KV\t%s\tbytes\n", name, $(NF-3), name, $(NF-2), name, bytes
    }' "$out/bench-$prefix.txt" >>"$figures"
}

run_probe() {
    command -v nvidia-smi >/dev/null && nvidia-smi
    duo backends | tee "$out/backends.txt"
    sed -n 's/^  cuda \[[^]]*\]: //p' "$out/backends.txt"
}

run_tck() {
    tests --select-class org.duoattention.backend.cuda.CudaGpuTest
}

run_models() {
    [ -d "$here/shared/models" ] || skip "the bundle was made without the checkpoints that have known answers"
    tests --select-class org.duoattention.core.session.KnownAnswersTest
}

run_needle() {
    # The embedded checkpoint: the same greedy tokens as on the CPU.
    local prompt="The pass key is 71432. Remember it. What is the pass key? The pass key is"
    for backend in cpu cuda; do
        duo generate --model "$here/models/nano-retrieval" --backend "$backend" --kv f32 --quiet --max-new-tokens 24 --prompt "$prompt" >"$out/greedy-$backend.txt" || return
    done
    cmp "$out/greedy-cpu.txt" "$out/greedy-cuda.txt" || return
    duo needle --backend cuda --contexts 512,1024 --quiet || return
    duo needle --backend cuda --model "$here/models/constructed" --heads "$here/models/constructed/heads" --threshold 0.5 \
        --contexts 65536,1048576 --depths 1 --samples 1 --policies full,duo --chunk 32768 --quiet
}

run_sanitizer() {
    local tool found
    found=$(command -v compute-sanitizer || ls /usr/local/cuda/bin/compute-sanitizer 2>/dev/null) ||
        skip "compute-sanitizer is not installed"
    for tool in memcheck racecheck; do
        echo "-- $tool"
        "$found" --tool "$tool" --error-exitcode 9 --target-processes all --launch-timeout 0 "${java[@]}" -Xmx8g \
            -cp "$here/lib/*:$here/tests/*" org.junit.platform.console.ConsoleLauncher execute --disable-banner \
            --disable-ansi-colors --details=summary --fail-if-no-tests \
            --select-class org.duoattention.backend.cuda.CudaGpuTest || return
    done
}

run_kernels() {
    "${java[@]}" -cp "$here/lib/*:$here/tests/*" org.duoattention.backend.cuda.GpuMeasurements 131072 1048576 |
        tee -a "$figures"
    return "${PIPESTATUS[0]}"
}

run_decode() {
    bench llama-3-8b-int4-int8 --shape llama-3-8b --weights int4 --kv int8 --policies full,duo --retrieval 0.5 --prefill none \
        --depths 131072,500000 --repeats 3
    bench llama-3-8b-int4-int8-1m --shape llama-3-8b --weights int4 --kv int8 --policies duo --retrieval 0.5 --prefill none \
        --depths 1048576 --repeats 3
}

run_prefill() {
    bench llama-3-8b-prefill --shape llama-3-8b --weights int4 --kv int8 --policies full,duo --retrieval 0.5 \
        --prefill 320000 --chunk 32000 --depths 0 --repeats 1
}

run_mha() {
    bench llama-2-7b --shape llama-2-7b --weights bf16 --kv int8 --policies full,duo --retrieval 0.25 --prefill 100000 \
        --chunk 10000 --depths 100000 --repeats 3
}

run_capacity() {
    local memory kv depth
    memory=$(nvidia-smi --query-gpu=memory.free --format=csv,noheader,nounits | head -n 1) || return
    for kv in int8:2000000 int4:4000000; do
        depth=${kv#*:}
        kv=${kv%:*}
        duo plan --backend cuda --shape llama-3-8b --weights int4 --kv "$kv" --retrieval 0.5 --chunk 1024 \
            --memory "${memory}MiB" --json "$out/plan-$kv.json" || return
        bench "capacity-$kv" --shape llama-3-8b --weights int4 --kv "$kv" --policies duo --retrieval 0.5 --prefill none \
            --chunk 1024 --depths "$depth" --tokens 8 --repeats 1 || return
    done
}

run_peer() {
    "$python" -c 'import torch' 2>/dev/null || skip "$python has no PyTorch"
    "$python" "$here/peer.py" "$out/peer.json" | tee -a "$figures"
    return "${PIPESTATUS[0]}"
}

if [ -n "$within" ]; then
    "$within"
    exit
fi

: >"$figures"
: >"$out/steps.jsonl"
rm -f "$out/backends.txt"
# Without a GPU nothing below means anything.
step probe 120 run_probe
if [ -z "$no_gpu" ] && ! grep -q '^  cuda .*: usable' "$out/backends.txt" 2>/dev/null; then
    no_gpu=$(sed -n 's/^  cuda \[[^]]*\]: not usable: //p' "$out/backends.txt" 2>/dev/null)
    no_gpu=${no_gpu:-the backend cuda was not found, see probe.log}
fi
step tck 900 run_tck
step models 900 run_models
step needle 1800 run_needle
step sanitizer 3600 run_sanitizer
step kernels 900 run_kernels
step decode 2400 run_decode
step prefill 2400 run_prefill
step mha 1800 run_mha
step capacity 3600 run_capacity
step peer 1200 run_peer

# Ratios of two figures, and whether they meet what docs/performance.md aims at.
value() { awk -F'\t' -v name="$1" '$1 == name {v = $2} END {print v}' "$figures"; }
ratio() { # name target numerator denominator
    local a b
    a=$(value "$3")
    b=$(value "$4")
    [ -n "$a" ] && [ -n "$b" ] || return
    awk -v name="$1" -v target="$2" -v a="$a" -v b="$b" \
        'BEGIN {r = b > 0 ? a / b : 0; printf "%-60s %8.2f  target %s  %s\n", name, r, target, r >= target ? "met" : "not met"}'
}
{
    echo "duo $(cat "$here/commit.txt"), $(date -u +%Y-%m-%dT%H:%MZ)"
    sed -n 's/^  cuda \[[^]]*\]: //p' "$out/backends.txt" 2>/dev/null
    echo
    printf '%s\n' "${rows[@]}"
    if [ -s "$figures" ]; then
        echo
        awk -F'\t' '{printf "%-72s %16s %s\n", $1, $2, $3}' "$figures"
        echo
        p=llama-3-8b-int4-int8
        ratio "decode, duo 50 % over full, 500,000 tokens" 1.75 "$p decode duo at 500000" "$p decode full at 500000"
        ratio "KV bytes, full over duo 50 %, 500,000 tokens" 1.75 "$p decode full at 500000, KV" "$p decode duo at 500000, KV"
        p=llama-3-8b-prefill
        ratio "prefill of 320,000, duo 50 % over full" 1.75 "$p prefill duo at 320000" "$p prefill full at 320000"
        p=llama-2-7b
        ratio "llama-2-7b decode, duo 25 % over full, 100,000" 2.6 "$p decode duo at 100000" "$p decode full at 100000"
        ratio "llama-2-7b prefill of 100,000, duo 25 % over full" 2.2 "$p prefill duo at 100000" "$p prefill full at 100000"
        ratio "llama-2-7b KV bytes, full over duo 25 %" 2.8 "$p decode full at 100000, KV" "$p decode duo at 100000, KV"
        ratio "causal attention of 32,768, PyTorch's time over ours" 0.9 "peer sdpa best causal 32768" "causal attention of 32768"
        for depth in 131072 1048576; do
            for kv in f16:0.85 int8:0.80 int4:0.70; do
                s=$(value "attention ${kv%:*} at $depth, share of the copy")
                [ -z "$s" ] || awk -v n="attention ${kv%:*} at $depth, share of the copy's bandwidth" -v s="$s" -v t="${kv#*:}" \
                    'BEGIN {printf "%-60s %8.2f  target %s  %s\n", n, s, t, s >= t ? "met" : "not met"}'
            done
        done
    fi
} | tee "$out/table.txt"

{
    printf '{"commit": "%s", "gpu": "%s", "steps": [' "$(cat "$here/commit.txt")" \
        "$(sed -n 's/^  cuda \[[^]]*\]: //p' "$out/backends.txt" 2>/dev/null | tr -d '"\\')"
    paste -sd, "$out/steps.jsonl"
    printf '], "figures": ['
    awk -F'\t' '{gsub(/["\\]/, "", $1); number = $2 ~ /^-?[0-9.]+(e[-+]?[0-9]+)?$/
        printf "%s{\"name\": \"%s\", \"value\": %s, \"unit\": \"%s\"}", (NR > 1 ? ", " : ""), $1, (number ? $2 : "\"" $2 "\""), $3}' "$figures"
    printf ']}\n'
} >"$out/results.json"
echo
echo "results: $out/table.txt, $out/results.json"
[ -z "$no_gpu" ] || {
    echo "there is no GPU that can be used: $no_gpu" >&2
    exit 3
}
[ -z "$failed" ]
