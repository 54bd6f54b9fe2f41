#!/usr/bin/env bash
# Tests and measures duo's CUDA backend on this machine; everything that is needed but the driver and CUDA's libraries lies beside
# this file.
#
#   run.sh [RESULTS] [STEP...]    RESULTS: folder for table.txt, results.json and logs.tar.gz (default: duo-gpu-results)
#                                 STEP: these steps only; all of them otherwise, the most telling first
#
#   BUDGET=SECONDS    ends by then, results written; a step for which no time is left is skipped
#   LIMIT=SECONDS     time limit of each step instead of its own
#   WORK=FOLDER       where logs, figures and caches are kept from call to call (default: work, beside this file); the results
#                     are of all steps that have run with the same folder, so that steps can be run one by one
#   JAVA_OPTS=OPTIONS more options for the JVM
#   PYTHON=python3    the Python whose PyTorch is the peer, and whose CUDA libraries are used
#
# A step that fails or runs out of time does not stop the others. Exit code: 0 when all went well, 1 when a step failed, 2 for a
# wrong argument, 3 when there is no GPU that can be used.
set -uo pipefail
here=$(cd -P "$(dirname "${BASH_SOURCE[0]}")" && pwd)
all_steps=(probe tck kernels decode models greedy decode-1m capacity-int4 prefill mha peer capacity-int8 needle memcheck racecheck)
python=${PYTHON:-python3}

# run.sh --step WORK FUNCTION ARGUMENT... is how this file runs one step in a process of its own.
within=()
steps=()
if [ "${1:-}" = --step ]; then
    work=$2
    within=("${@:3}")
else
    results=duo-gpu-results
    for argument; do
        case " ${all_steps[*]} " in
            *" $argument "*) steps+=("$argument") ;;
            *)
                [ "$argument" = "$1" ] && case $argument in -*) false ;; esac || {
                    echo "'$argument' is no step; there are ${all_steps[*]}" >&2
                    exit 2
                }
                results=$argument
                ;;
        esac
    done
    [ ${#steps[@]} -gt 0 ] || steps=("${all_steps[@]}")
    mkdir -p "$results" && results=$(cd -P "$results" && pwd) || exit 2
    work=${WORK:-$here/work}
    { mkdir -p "$work" 2>/dev/null && [ -w "$work" ]; } || work=$results/work
    mkdir -p "$work/status" "$work/figures" "$work/logs" "$work/json" || exit 2
    work=$(cd -P "$work" && pwd)
fi
no_gpu=''
failed=''
figures=$work/figures/${DUO_GPU_STEP:-none}.tsv

# NVIDIA's Python packages and the toolkit keep their libraries in folders of their own.
cuda_folders() {
    "$python" - <<'PY' 2>/dev/null
import glob, site, sysconfig
places = {sysconfig.get_paths()["purelib"], *site.getsitepackages()}
print("\n".join(folder for place in sorted(places) for folder in sorted(glob.glob(place + "/nvidia/*/lib"))))
PY
    ls -d "${CUDA_HOME:-/usr/local/cuda}/lib64" /usr/local/cuda/lib64 2>/dev/null
}
if [ ${#within[@]} -eq 0 ]; then
    while read -r folder; do
        LD_LIBRARY_PATH=${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}$folder
    done < <(cuda_folders)
    export LD_LIBRARY_PATH
fi

# shellcheck disable=SC2206  # the options are a list of words
java=("$here/runtime/bin/java" --add-modules jdk.incubator.vector --enable-native-access=ALL-UNNAMED
    --sun-misc-unsafe-memory-access=allow -Djava.awt.headless=true "-Dorg.bytedeco.javacpp.cachedir=$work/javacpp"
    "-Dduo.cuda.cache=$work/kernels" "-Dduo.shared=$here/shared" ${JAVA_OPTS:-})
export DJL_CACHE_DIR=$work/djl OPT_OUT_TRACKING=true

duo() {
    "${java[@]}" -Xmx16g -cp "$here/lib/*" org.duoattention.examples.cli.Launcher "$@"
}

# Runs classes of tests.
tests() {
    "${java[@]}" -Xmx8g "-Dduo.test.backends=cuda" -cp "$here/lib/*:$here/tests/*" org.junit.platform.console.ConsoleLauncher \
        execute --disable-banner --disable-ansi-colors --details=summary --fail-if-no-tests "$@"
}

note() { # status name seconds remark
    printf '%s\t%s\t%s\t%s\n' "$2" "$1" "$3" "$(tr '\t\n' '  ' <<<"$4" | sed 's/ *$//')" >"$work/status/$2"
    echo "== $2: $1 ${4:+($4)}"
}

# step NAME LIMIT FUNCTION ARGUMENT...: in a process of its own, so that a time limit ends all that it started.
step() {
    local name=$1 limit=${LIMIT:-$2} start=$SECONDS status=0 left log=$work/logs/$1.log
    shift 2
    case " ${steps[*]} " in *" $name "*) ;; *) return ;; esac
    rm -f "$work/figures/$name.tsv"
    if [ -n "$no_gpu" ]; then
        note skipped "$name" 0 "no GPU: $no_gpu"
        return
    fi
    if [ -n "${BUDGET:-}" ]; then
        left=$((BUDGET - SECONDS - 15))
        if [ "$left" -lt 20 ]; then
            failed=yes
            note skipped "$name" 0 "no time was left of $BUDGET s"
            return
        fi
        [ "$limit" -le "$left" ] || limit=$left
    fi
    echo "== $name (at most $limit s, log: $log)"
    DUO_GPU_STEP=$name timeout --kill-after=10 "$limit" bash "$here/run.sh" --step "$work" "$@" >"$log" 2>&1 </dev/null || status=$?
    case $status in
        0) note ok "$name" $((SECONDS - start)) "$(tail -n 1 "$log" | cut -c 1-100)" ;;
        77) note skipped "$name" $((SECONDS - start)) "$(tail -n 1 "$log" | cut -c 1-200)" ;;
        124 | 137)
            failed=yes
            note timeout "$name" $((SECONDS - start)) "after $limit s, see $name.log"
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
    duo bench --backend cuda --json "$work/json/bench-$prefix.json" "$@" | tee "$work/bench-$prefix.txt" || return
    awk -v prefix="$prefix" 'NF > 6 && ($(NF-5) == "decode" || $(NF-5) == "prefill") {
        bytes = $NF; gsub(",", "", bytes); name = prefix " " $(NF-5) " " $(NF-6) " at " $(NF-4)
        printf "%s\t%s\ttokens/s\n%s, bytes moved\t%s\tGB/s\n%s, KV\t%s\tbytes\n", name, $(NF-3), name, $(NF-2), name, bytes
    }' "$work/bench-$prefix.txt" >>"$figures"
}

run_probe() {
    command -v nvidia-smi >/dev/null && nvidia-smi
    duo backends | tee "$work/backends.txt"
    sed -n 's/^  cuda \[[^]]*\]: //p' "$work/backends.txt"
}

run_tck() {
    tests --select-class org.duoattention.backend.cuda.CudaGpuTest --select-class org.duoattention.backend.cuda.CudaExactGpuTest
}

# The answers are those of implementations that round no activations.
run_models() {
    [ -d "$here/shared/models" ] || skip "the bundle was made without the checkpoints that have known answers"
    java+=(-Dduo.cuda.activations=exact)
    tests --select-class org.duoattention.core.session.KnownAnswersTest
}

# The embedded checkpoint: the same greedy tokens as on the CPU.
run_greedy() {
    local prompt="The pass key is 71432. Remember it. What is the pass key? The pass key is"
    java+=(-Dduo.cuda.activations=exact)
    for backend in cpu cuda; do
        duo generate --model "$here/models/nano-retrieval" --backend "$backend" --kv f32 --quiet --max-new-tokens 24 --prompt "$prompt" >"$work/greedy-$backend.txt" || return
    done
    cmp "$work/greedy-cpu.txt" "$work/greedy-cuda.txt" || return
    echo "the same greedy tokens as the CPU"
}

run_needle() {
    duo needle --backend cuda --contexts 512,1024 --quiet || return
    duo needle --backend cuda --model "$here/models/constructed" --heads "$here/models/constructed/heads" --threshold 0.5 \
        --contexts 65536,1048576 --depths 1 --samples 1 --policies full,duo --chunk 32768 --quiet
}

# On the path, in a toolkit, in one of NVIDIA's Python packages, or beside Nsight.
find_sanitizer() {
    local place
    command -v compute-sanitizer && return
    for place in "${CUDA_HOME:-/usr/local/cuda}"/{bin,compute-sanitizer} /usr/local/cuda*/{bin,compute-sanitizer} \
        $("$python" -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])' 2>/dev/null)/nvidia/*/{bin,compute-sanitizer} \
        /opt/nvidia/*/compute-sanitizer; do
        [ -x "$place/compute-sanitizer" ] && [ ! -d "$place/compute-sanitizer" ] && echo "$place/compute-sanitizer" && return
    done
    return 1
}

run_sanitizer() { # tool
    local found
    found=$(find_sanitizer) || skip "compute-sanitizer is not installed"
    "$found" --tool "$1" --error-exitcode 9 --target-processes all --launch-timeout 0 "${java[@]}" -Xmx8g \
        -cp "$here/lib/*:$here/tests/*" org.junit.platform.console.ConsoleLauncher execute --disable-banner \
        --disable-ansi-colors --details=summary --fail-if-no-tests \
        --select-class org.duoattention.backend.cuda.CudaGpuTest
}

run_kernels() {
    "${java[@]}" -cp "$here/lib/*:$here/tests/*" org.duoattention.backend.cuda.GpuMeasurements 131072 1048576 |
        tee -a "$figures"
    return "${PIPESTATUS[0]}"
}

run_decode() {
    bench llama-3-8b-int4-int8 --shape llama-3-8b --weights int4 --kv int8 --policies full,duo --retrieval 0.5 --prefill none \
        --depths 131072,500000 --repeats 3
}

run_decode_1m() {
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

run_capacity() { # cache tokens
    local memory
    memory=$(nvidia-smi --query-gpu=memory.free --format=csv,noheader,nounits 2>/dev/null | head -n 1)
    if [ -n "$memory" ]; then
        duo plan --backend cuda --shape llama-3-8b --weights int4 --kv "$1" --retrieval 0.5 --chunk 1024 \
            --memory "${memory}MiB" --json "$work/json/plan-$1.json" || return
    fi
    bench "capacity-$1" --shape llama-3-8b --weights int4 --kv "$1" --policies duo --retrieval 0.5 --prefill none \
        --chunk 1024 --depths "$2" --tokens 8 --repeats 1
}

run_peer() {
    "$python" -c 'import torch' 2>/dev/null || skip "$python has no PyTorch"
    "$python" "$here/peer.py" "$work/json/peer.json" | tee -a "$figures"
    return "${PIPESTATUS[0]}"
}

if [ ${#within[@]} -gt 0 ]; then
    "${within[@]}"
    exit
fi

# Without a GPU nothing below means anything.
case " ${steps[*]} " in *" probe "*) ;; *) [ -s "$work/backends.txt" ] || steps=(probe "${steps[@]}") ;; esac
case " ${steps[*]} " in *" probe "*) rm -f "$work/backends.txt" ;; esac
step probe 120 run_probe
if [ -z "$no_gpu" ] && ! grep -q '^  cuda .*: usable' "$work/backends.txt" 2>/dev/null; then
    no_gpu=$(sed -n 's/^  cuda \[[^]]*\]: not usable: //p' "$work/backends.txt" 2>/dev/null)
    no_gpu=${no_gpu:-the backend cuda was not found, see probe.log}
fi
step tck 600 run_tck
step kernels 300 run_kernels
step decode 600 run_decode
step models 600 run_models
step greedy 120 run_greedy
step decode-1m 600 run_decode_1m
step capacity-int4 900 run_capacity int4 4000000
step prefill 1200 run_prefill
step mha 900 run_mha
step peer 900 run_peer
step capacity-int8 900 run_capacity int8 2000000
step needle 1800 run_needle
step memcheck 2400 run_sanitizer memcheck
step racecheck 2400 run_sanitizer racecheck

# Ratios of two figures, and whether they meet what docs/performance.md aims at.
figures=$work/figures.tsv
for name in "${all_steps[@]}"; do
    cat "$work/figures/$name.tsv" 2>/dev/null
done >"$figures"
status() {
    for name in "${all_steps[@]}"; do
        cat "$work/status/$name" 2>/dev/null
    done
}
gpu() {
    sed -n 's/^  cuda \[[^]]*\]: //p' "$work/backends.txt" 2>/dev/null
}
value() { awk -F'\t' -v name="$1" '$1 == name {v = $2} END {print v}' "$figures"; }
ratio() { # name target numerator denominator
    local a b
    a=$(value "$3")
    b=$(value "$4")
    [ -n "$a" ] && [ -n "$b" ] || return
    awk -v name="$1" -v target="$2" -v a="$a" -v b="$b" \
        'BEGIN {r = b > 0 ? a / b : 0; printf "%-60s %8.2f  target %s  %s\n", name, r, target, (r >= target ? "met" : "not met")}'
}
{
    echo "duo $(cat "$here/commit.txt"), $(date -u +%Y-%m-%dT%H:%MZ)"
    gpu
    echo
    status | awk -F'\t' '{printf "%-13s %-8s %6s s  %s\n", $1, $2, $3, $4}'
    if [ -s "$figures" ]; then
        echo
        awk -F'\t' '{printf "%-72s %16s %s\n", $1, $2, $3}' "$figures"
        echo
        p=llama-3-8b-int4-int8
        ratio "decode, duo 50 % over full, 500,000 tokens" 1.75 "$p decode duo at 500000" "$p decode full at 500000"
        ratio "KV bytes, full over duo 50 %, 500,000 tokens" 1.75 "$p decode full at 500000, KV" "$p decode duo at 500000, KV"
        ratio "decode at 1,048,576, bytes moved over the copy's bandwidth" 0.77 "$p-1m decode duo at 1048576, bytes moved" \
            "copy, bytes read and written"
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
                    'BEGIN {printf "%-60s %8.2f  target %s  %s\n", n, s, t, (s >= t ? "met" : "not met")}'
            done
        done
    fi
} | tee "$results/table.txt"

{
    printf '{"commit": "%s", "gpu": "%s", "steps": [' "$(cat "$here/commit.txt")" "$(gpu | tr -d '"\\')"
    status | awk -F'\t' '{gsub(/["\\]/, "", $4)
        printf "%s{\"step\": \"%s\", \"status\": \"%s\", \"seconds\": %s, \"remark\": \"%s\"}", (NR > 1 ? ", " : ""), $1, $2, $3, $4}'
    printf '], "figures": ['
    awk -F'\t' '{gsub(/["\\]/, "", $1); number = $2 ~ /^-?[0-9.]+(e[-+]?[0-9]+)?$/
        printf "%s{\"name\": \"%s\", \"value\": %s, \"unit\": \"%s\"}", (NR > 1 ? ", " : ""), $1, (number ? $2 : "\"" $2 "\""), $3}' "$figures"
    printf ']}\n'
} >"$results/results.json"
tar -C "$work" -czf "$results/logs.tar.gz" logs json
echo
echo "results: $results/table.txt, $results/results.json, $results/logs.tar.gz"
[ -z "$no_gpu" ] || {
    echo "there is no GPU that can be used: $no_gpu" >&2
    exit 3
}
[ -z "$failed" ]
