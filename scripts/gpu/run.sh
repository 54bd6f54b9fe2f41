#!/usr/bin/env bash
# Tests and measures duo's CUDA backend on this machine; everything that is needed but the driver and CUDA's libraries lies beside
# this file.
#
#   run.sh [RESULTS] [STEP...]    RESULTS: folder for table.txt, results.json and logs.tar.gz (default: duo-gpu-results)
#                                 STEP: these steps only; all of them otherwise, the most telling first; rest: those that have
#                                 not succeeded yet, first the ones that were never begun
#
#   BUDGET=SECONDS    ends by then, results written; a step is skipped when less than a fifth of its limit is left
#   LIMIT=SECONDS     time limit of each step instead of its own
#   WORK=FOLDER       where logs, figures and caches are kept from call to call (default: work, beside this file); the results
#                     are of all steps that have run with the same folder, so that steps can be run one by one
#   JAVA_OPTS=OPTIONS more options for the JVM
#   PYTHON=FILE       the Python whose PyTorch is the peer, and whose CUDA libraries are used (default: python3, or python)
#
# A step that fails or runs out of time does not stop the others. Exit code: 0 when all went well, 1 when a step failed or was left
# out, 2 for a wrong argument, 3 when there is no GPU that can be used.
set -uo pipefail
here=$(cd -P "$(dirname "${BASH_SOURCE[0]}")" && pwd)
all_steps=(probe tck kernels decode models greedy decode-1m capacity-int4 prefill-duo prefill-full mha-decode mha-prefill peer
    capacity-int8 needle needle-1m memcheck racecheck)
python=${PYTHON:-$(command -v python3 || command -v python || echo python3)}

# run.sh --step WORK FUNCTION ARGUMENT... is how this file runs one step in a process of its own.
within=()
steps=()
if [ "${1:-}" = --step ]; then
    work=$2
    within=("${@:3}")
else
    results=duo-gpu-results
    rest=''
    first=yes
    for argument; do
        case " ${all_steps[*]} " in
            *" $argument "*) steps+=("$argument") ;;
            *)
                if [ "$argument" = rest ]; then
                    rest=yes
                elif [ -n "$first" ] && [ "${argument#-}" = "$argument" ]; then
                    results=$argument
                else
                    echo "'$argument' is no step; there are ${all_steps[*]}, and rest" >&2
                    exit 2
                fi
                ;;
        esac
        first=''
    done
    mkdir -p "$results" && results=$(cd -P "$results" && pwd) || exit 2
    work=${WORK:-$here/work}
    { mkdir -p "$work" 2>/dev/null && [ -w "$work" ]; } || work=$results/work
    mkdir -p "$work/status" "$work/figures" "$work/logs" "$work/json" || exit 2
    work=$(cd -P "$work" && pwd)
    if [ -n "$rest" ]; then
        for name in "${all_steps[@]}"; do
            [ -e "$work/status/$name" ] || steps+=("$name")
        done
        for name in "${all_steps[@]}"; do
            [ ! -e "$work/status/$name" ] || [ "$(cut -f 2 "$work/status/$name")" = ok ] || steps+=("$name")
        done
    elif [ ${#steps[@]} -eq 0 ]; then
        steps=("${all_steps[@]}")
    fi
fi
no_gpu=''
failed=''
figures=$work/figures/${DUO_GPU_STEP:-none}.tsv

# NVIDIA's Python packages and the toolkit keep their libraries in folders of their own.
cuda_folders() {
    "$python" - <<'PY' 2>/dev/null
import glob, sys
print("\n".join(folder for place in sys.path if place for folder in sorted(glob.glob(place + "/nvidia/*/lib"))))
PY
    ls -d "${CUDA_HOME:-/usr/local/cuda}/lib64" /usr/local/cuda/lib64 2>/dev/null
}
if [ ${#within[@]} -eq 0 ]; then
    while read -r folder; do
        [ -z "$folder" ] || LD_LIBRARY_PATH=${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}$folder
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

# JUnit's launcher, for the options of a run of tests.
launcher=(-Xmx8g -Dduo.test.backends=cuda -cp "$here/lib/*:$here/tests/*" org.junit.platform.console.ConsoleLauncher execute
    --disable-banner --disable-ansi-colors --details=summary --fail-if-no-tests)

note() { # status name seconds remark
    printf '%s\t%s\t%s\t%s\n' "$2" "$1" "$3" "$(tr -s '\000-\037' ' ' <<<"$4" | sed 's/ *$//')" >"$work/status/$2"
    echo "== $2: $1 ${4:+($4)}"
}

# step NAME LIMIT FUNCTION ARGUMENT...: in a process of its own, so that a time limit ends all that it started.
step() {
    local name=$1 limit=${LIMIT:-$2} start=$SECONDS status=0 left log=$work/logs/$1.log
    shift 2
    # What an earlier call has found out stays, where this one has no GPU or no time.
    if [ -n "$no_gpu" ]; then
        [ -e "$work/status/$name" ] || note skipped "$name" 0 "no GPU: $no_gpu"
        return
    fi
    if [ -n "${BUDGET:-}" ]; then
        left=$((BUDGET - SECONDS - 15))
        if [ $((left * 5)) -lt "$limit" ]; then
            failed=yes
            echo "== $name: left for another call ($left s are left of $BUDGET, it may take $limit)"
            return
        fi
        [ "$limit" -le "$left" ] || limit=$left
    fi
    rm -f "$work/figures/$name.tsv"
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

# Puts what duo bench measures into the figures: speeds as they come, so that a step which runs out of time leaves what it
# had, and the bytes of caches from the table at the end. A row of it ends with policy, phase, depth, tokens/s, GB/s, share of
# the host's bound (which says nothing here) and KV bytes.
bench() { # prefix options...
    local prefix=$1 table=$work/bench-$DUO_GPU_STEP.txt status line
    local row='^(decode|prefill) ([0-9]+): .* ([a-z]+): ([0-9.]+) tokens/s, ([0-9.]+) GB/s'
    shift
    duo bench --backend cuda --json "$work/json/bench-$DUO_GPU_STEP.json" "$@" 2>&1 >"$table" | while IFS= read -r line; do
        echo "$line"
        if [[ $line =~ $row ]]; then
            figure "$prefix ${BASH_REMATCH[1]} ${BASH_REMATCH[3]} at ${BASH_REMATCH[2]}" "${BASH_REMATCH[4]}" tokens/s
            figure "$prefix ${BASH_REMATCH[1]} ${BASH_REMATCH[3]} at ${BASH_REMATCH[2]}, bytes moved" "${BASH_REMATCH[5]}" GB/s
        fi
    done
    status=${PIPESTATUS[0]}
    cat "$table"
    awk -v prefix="$prefix" 'NF > 6 && ($(NF-5) == "decode" || $(NF-5) == "prefill") {
        bytes = $NF; gsub(",", "", bytes)
        printf "%s %s %s at %s, KV\t%s\tbytes\n", prefix, $(NF-5), $(NF-6), $(NF-4), bytes
    }' "$table" >>"$figures"
    return "$status"
}

run_probe() {
    command -v nvidia-smi >/dev/null && nvidia-smi
    duo backends | tee "$work/backends.txt"
    sed -n 's/^  cuda \[[^]]*\]: //p' "$work/backends.txt"
}

run_tck() {
    "${java[@]}" "${launcher[@]}" --select-class org.duoattention.backend.cuda.CudaGpuTest \
        --select-class org.duoattention.backend.cuda.CudaExactGpuTest
}

# The answers are those of implementations that round no activations.
run_models() {
    [ -d "$here/shared/models" ] || skip "the bundle was made without the checkpoints that have known answers"
    "${java[@]}" -Dduo.cuda.activations=exact "${launcher[@]}" --select-class org.duoattention.core.session.KnownAnswersTest
}

# The embedded checkpoint: the same greedy tokens as on the CPU.
run_greedy() {
    local prompt="The pass key is 71432. Remember it. What is the pass key? The pass key is"
    java+=(-Dduo.cuda.activations=exact)
    for backend in cpu cuda; do
        duo generate --model "$here/models/nano-retrieval" --backend "$backend" --kv f32 --quiet --max-new-tokens 24 --prompt "$prompt" >"$work/greedy-$backend.txt" || return
    done
    [ -s "$work/greedy-cpu.txt" ] && [ "$(cat "$work/greedy-cpu.txt")" = "$(cat "$work/greedy-cuda.txt")" ] || {
        echo "the greedy tokens differ from the CPU's"
        return 1
    }
    echo "the same greedy tokens as the CPU"
}

# A row of the result: context, policy, accuracy in per cent.
needle() { # name options...
    local table=$work/$1.txt
    duo needle --backend cuda --quiet --out "$work/heat-maps" "${@:2}" | tee "$table"
    [ "${PIPESTATUS[0]}" -eq 0 ] || return
    awk -v name="$1" '$1 ~ /^[0-9]+$/ && $4 == "%" {printf "%s %s at %s, found\t%s\t%%\n", name, $2, $1, $3}' "$table" >>"$figures"
}

run_needle() {
    needle needle --contexts 512,1024 || return
    needle needle-constructed --model "$here/models/constructed" --heads "$here/models/constructed/heads" --threshold 0.5 \
        --contexts 65536 --depths 1 --samples 1 --policies full,duo --chunk 32768
}

# What was read is kept, so that a call which ran out of time is gone on with.
run_needle_1m() {
    local options=(--model "$here/models/constructed" --contexts 1048576 --depths 1 --samples 1 --chunk 32768 --keep "$work/kept")
    mkdir -p "$work/kept"
    needle needle-constructed --policies duo --heads "$here/models/constructed/heads" --threshold 0.5 "${options[@]}" || return
    needle needle-constructed --policies full "${options[@]}"
}

# On the path, in a toolkit, in one of NVIDIA's Python packages, or beside Nsight.
find_sanitizer() {
    local place
    command -v compute-sanitizer && return
    for place in "${CUDA_HOME:-/usr/local/cuda}"/{bin,compute-sanitizer} /usr/local/cuda*/{bin,compute-sanitizer} \
        $("$python" -c 'import sys; print(*(p + "/nvidia/*/" + d for p in sys.path if p for d in ("bin", "compute-sanitizer")))' 2>/dev/null) \
        /opt/nvidia/*/compute-sanitizer; do
        [ -x "$place/compute-sanitizer" ] && [ ! -d "$place/compute-sanitizer" ] && echo "$place/compute-sanitizer" && return
    done
    return 1
}

# The contract, one topic after the other; those that were clean in an earlier call are not run again.
run_sanitizer() { # tool
    local found topic
    found=$(find_sanitizer) || skip "compute-sanitizer is not installed"
    mkdir -p "$work/clean"
    for topic in Identity Lifecycle Transfers DenseOperations Attention QuantizedCache QuantizedWeights Compaction Rollback \
        Snapshots GradientArguments StreamingGradients BackwardOperations; do
        [ ! -e "$work/clean/$1-$topic" ] || continue
        echo "$1: $topic"
        "$found" --tool "$1" --error-exitcode 9 --target-processes all --launch-timeout 0 "${java[@]}" "${launcher[@]}" \
            --select-unique-id "[engine:junit-jupiter]/[class:org.duoattention.backend.cuda.CudaGpuTest]/[nested-class:$topic]" ||
            return
        touch "$work/clean/$1-$topic"
    done
    echo "$1 is clean"
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

run_prefill() { # policy
    bench llama-3-8b-prefill --shape llama-3-8b --weights int4 --kv int8 --policies "$1" \
        $([ "$1" = full ] || echo --retrieval 0.5) --prefill 320000 --chunk 32000 --depths 0 --repeats 1
}

run_mha() { # options...
    bench llama-2-7b --shape llama-2-7b --weights bf16 --kv int8 --policies full,duo --retrieval 0.25 --chunk 10000 "$@"
}

# Decodes at the longest context that the plan allows, less what it does not know of, or at the target.
run_capacity() { # cache target
    local memory planned depth depths=("$2")
    memory=$(nvidia-smi --query-gpu=memory.free --format=csv,noheader,nounits 2>/dev/null | head -n 1)
    if [[ $memory =~ ^[0-9]+$ ]] && duo plan --backend cuda --shape llama-3-8b --weights int4 --kv "$1" --retrieval 0.5 \
        --chunk 1024 --memory "${memory}MiB" --json "$work/json/plan-$1.json"; then
        planned=$(sed -n 's/.*"maxTokens"[^0-9]*\([0-9]*\).*/\1/p' "$work/json/plan-$1.json" | head -n 1)
        figure "capacity-$1 planned for free memory" "$planned" tokens
        depths+=($((planned * 98 / 100 / 1000 * 1000)) $((planned * 95 / 100 / 1000 * 1000)))
    fi
    for depth in $(printf '%s\n' "${depths[@]}" | sort -rnu); do
        bench "capacity-$1" --shape llama-3-8b --weights int4 --kv "$1" --policies duo --retrieval 0.5 --prefill none \
            --chunk 1024 --depths "$depth" --tokens 8 --repeats 1 && return
    done
    return 1
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

perform() { # name
    case $1 in
        tck) step tck 600 run_tck ;;
        kernels) step kernels 300 run_kernels ;;
        decode) step decode 600 run_decode ;;
        models) step models 600 run_models ;;
        greedy) step greedy 120 run_greedy ;;
        decode-1m) step decode-1m 600 run_decode_1m ;;
        capacity-*) step "$1" 900 run_capacity "${1#capacity-}" "$([ "$1" = capacity-int4 ] && echo 4000000 || echo 2000000)" ;;
        prefill-*) step "$1" 900 run_prefill "${1#prefill-}" ;;
        mha-decode) step mha-decode 600 run_mha --prefill none --depths 100000 --repeats 3 ;;
        mha-prefill) step mha-prefill 900 run_mha --prefill 100000 --depths 0 --repeats 1 ;;
        peer) step peer 900 run_peer ;;
        needle) step needle 600 run_needle ;;
        needle-1m) step needle-1m 1800 run_needle_1m ;;
        memcheck | racecheck) step "$1" 2400 run_sanitizer "$1" ;;
    esac
}

# Without a GPU nothing below means anything.
rm -f "$work/backends.txt"
step probe 120 run_probe
if ! grep -q '^  cuda .*: usable' "$work/backends.txt" 2>/dev/null; then
    no_gpu=$(sed -n 's/^  cuda \[[^]]*\]: not usable: //p' "$work/backends.txt" 2>/dev/null)
    no_gpu=${no_gpu:-the backend cuda was not found, see $work/logs/probe.log}
fi
for name in "${steps[@]}"; do
    perform "$name"
done

# Ratios of figures, and whether they meet what docs/performance.md aims at.
figures=$work/figures.tsv
targets=$work/targets.tsv
for name in "${all_steps[@]}"; do
    cat "$work/figures/$name.tsv" 2>/dev/null
done >"$figures"
status() {
    for name in "${all_steps[@]}"; do
        cat "$work/status/$name" 2>/dev/null || printf '%s\tnot run\t0\t\n' "$name"
    done
}
gpu() {
    sed -n 's/^  cuda \[[^]]*\]: //p' "$work/backends.txt" 2>/dev/null
}
value() { awk -F'\t' -v name="$1" '$1 == name {v = $2} END {print v}' "$figures"; }
target() { # name least value
    local verdict='not measured'
    [ -z "$3" ] || verdict=$(awk -v value="$3" -v least="$2" 'BEGIN {print (value >= least ? "met" : "not met")}')
    printf '%s\t%s\t%s\t%s\n' "$1" "$2" "$3" "$verdict" >>"$targets"
}
ratio() { # name least numerator denominator
    target "$1" "$2" "$(awk -v a="$(value "$3")" -v b="$(value "$4")" 'BEGIN {if (a != "" && b > 0) printf "%.3f", a / b}')"
}
largest() { # prefix: the largest depth of its figures
    awk -F'\t' -v prefix="$1 decode duo at " 'index($1, prefix) == 1 && $3 == "tokens/s" {
        depth = substr($1, length(prefix) + 1); if (depth + 0 > most) most = depth + 0
    } END {if (most) print most}' "$figures"
}
: >"$targets"
for depth in 131072 1048576; do
    for kv in f16:0.85 int8:0.80 int4:0.70; do
        target "attention of a decode step, ${kv%:*} at $depth, share of the copy's bandwidth" "${kv#*:}" \
            "$(value "attention ${kv%:*} at $depth, share of the copy")"
    done
done
p=llama-3-8b-int4-int8
ratio "decode at 1,048,576, bytes moved over the copy's bandwidth" 0.77 "$p-1m decode duo at 1048576, bytes moved" \
    "copy, bytes read and written"
ratio "decode, duo 50 % over full, 500,000 tokens" 1.75 "$p decode duo at 500000" "$p decode full at 500000"
ratio "llama-2-7b decode, duo 25 % over full, 100,000" 2.6 "llama-2-7b decode duo at 100000" "llama-2-7b decode full at 100000"
ratio "prefill of 320,000, duo 50 % over full" 1.75 "llama-3-8b-prefill prefill duo at 320000" \
    "llama-3-8b-prefill prefill full at 320000"
ratio "llama-2-7b prefill of 100,000, duo 25 % over full" 2.2 "llama-2-7b prefill duo at 100000" "llama-2-7b prefill full at 100000"
ratio "causal attention of 32,768, PyTorch's time over ours" 0.9 "peer sdpa best causal 32768" "causal attention of 32768"
ratio "KV bytes, full over duo 50 %, 500,000 tokens" 1.75 "$p decode full at 500000, KV" "$p decode duo at 500000, KV"
ratio "llama-2-7b KV bytes, full over duo 25 %, 100,000 tokens" 2.8 "llama-2-7b decode full at 100000, KV" \
    "llama-2-7b decode duo at 100000, KV"
target "tokens of the largest context that decoded, INT8 KV" 2000000 "$(largest capacity-int8)"
target "tokens of the largest context that decoded, INT4 KV" 4000000 "$(largest capacity-int4)"
for policy in full duo; do
    target "% of passkeys found at 1,048,576, $policy" 100 "$(value "needle-constructed $policy at 1048576, found")"
done
{
    echo "duo $(cat "$here/commit.txt"), $(date -u +%Y-%m-%dT%H:%MZ)"
    gpu
    echo
    status | awk -F'\t' '{printf "%-13s %-8s %6s s  %s\n", $1, $2, $3, $4}'
    if [ -s "$figures" ]; then
        echo
        awk -F'\t' '{printf "%-72s %16s %s\n", $1, $2, $3}' "$figures"
    fi
    echo
    awk -F'\t' '{printf "%-76s %10s  target %8s  %s\n", $1, ($3 == "" ? "-" : $3), $2, $4}' "$targets"
} | tee "$results/table.txt"

{
    printf '{"commit": "%s", "gpu": "%s", "steps": [' "$(cat "$here/commit.txt")" "$(gpu | tr -d '"\\')"
    status | awk -F'\t' '{gsub(/["\\]/, "", $4)
        printf "%s{\"step\": \"%s\", \"status\": \"%s\", \"seconds\": %s, \"remark\": \"%s\"}", (NR > 1 ? ", " : ""), $1, $2, $3, $4}'
    printf '], "figures": ['
    awk -F'\t' '{gsub(/["\\]/, "", $1); number = $2 ~ /^-?[0-9.]+(e[-+]?[0-9]+)?$/
        printf "%s{\"name\": \"%s\", \"value\": %s, \"unit\": \"%s\"}", (NR > 1 ? ", " : ""), $1, (number ? $2 : "\"" $2 "\""), $3}' "$figures"
    printf '], "targets": ['
    awk -F'\t' '{printf "%s{\"name\": \"%s\", \"target\": %s, \"value\": %s, \"verdict\": \"%s\"}", (NR > 1 ? ", " : ""), $1, $2,
        ($3 == "" ? "null" : $3), $4}' "$targets"
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
