# SPDX-License-Identifier: Apache-2.0
"""Comparisons that no run made, in the form of comparison.json: python3 tests/page/synthetic.py small|large FILE

The numbers look like those of a byte model of the quick start and follow from a fixed seed.
"""

import json
import math
import random
import sys

BITS = 1 / math.log(2)
ARMS = ["width", "depth", "width-narrow-mlp", "depth-contiguous", "heads-only", "width-then-depth", "taylor-width",
        "kl-drop-depth", "searched-shape", "random-weights"]
PROTOCOL = {"seq_length": 512, "windows": "all, not overlapping", "dtype": "float32", "tokenizer": "bytes",
            "sources": ["novels.txt", "letters.txt"]}
ENVIRONMENT = {"program": "espalier 0.4.0", "torch": "2.11.0", "cpu": "a processor with 16 cores", "threads": 16,
               "device": "cpu"}


def about(values, level=1.96):
    mean = sum(values) / len(values)
    sd = math.sqrt(sum((v - mean) ** 2 for v in values) / (len(values) - 1)) if len(values) > 1 else None
    half = level * sd / math.sqrt(len(values)) if sd is not None else None
    return {"mean": mean, "sd": sd, "low": mean - half if half else None, "high": mean + half if half else None}


def in_bits(measured):
    return {key: value * BITS if value is not None else None for key, value in measured.items()}


def curve(rng, final, start, points=200, step=16384):
    tokens = [step * (i + 1) for i in range(points)]
    return {"tokens": tokens, "loss": [final + (start - final) * math.exp(-6 * i / points) + rng.gauss(0, 0.012) for i in range(points)]}


def score_map(rng, run, axis, metric, layers, columns, keep, shared):
    rows, kept = [], []
    for layer in range(1 if shared else layers):
        row = [math.exp(rng.gauss(-0.08 * layer, 0.6)) * (1 + math.sin(i / 9 + layer)) for i in range(columns)]
        edge = sorted(row, reverse=True)[max(0, int(keep * columns) - 1)]
        rows.append(row)
        kept.append([1 if value >= edge else 0 for value in row])
    return {"run": run, "axis": axis, "metric": metric, "layers": rows, "kept": kept, "shared": shared, "bin": 1 if axis == "layers" else 4}


def lab_axis(rng, axis, runs, metrics, layers, teacher, samples):
    labels = [{"label": name, "metric": name.split(" ")[0], "options": {}} for name in metrics]
    pairs = []
    for a in range(len(metrics)):
        for b in range(a + 1, len(metrics)):
            rho = rng.uniform(-0.15, 0.95)
            pairs.append({"a": a, "b": b, "samples": samples[-1], "calibrations": 3, "spearman": rho, "kendall": 0.7 * rho,
                          "layers": [max(-1, min(1, rho + rng.gauss(0, 0.05))) for _ in range(layers)],
                          "overlap": [{"share": 0.6 + 0.35 * max(0, rho), "jaccard": 0.4 + 0.45 * max(0, rho)}]})
    stability = []
    for m in range(len(metrics)) if len(samples) > 1 else []:
        speed = rng.uniform(0.15, 0.35)
        points = [{"samples": s, "files": 3, "spearman": 1 - 0.5 * speed / (1 + i), "share": 1 - speed * math.exp(-0.7 * i) if i + 1 < len(samples) else 1.0,
                   "jaccard": 1 - 1.5 * speed * math.exp(-0.7 * i) if i + 1 < len(samples) else 1.0,
                   "between_seeds": {"pairs": 3, "spearman": 0.9, "share": 0.9, "jaccard": 0.8}} for i, s in enumerate(samples)]
        reached = [p["samples"] for p in points[:-1] if p["share"] >= 0.95]
        stability.append({"metric": m, "seq_length": 512, "largest": samples[-1], "target": 0, "samples_needed": reached[0] if reached else None, "points": points})
    means = [[rng.random() for _ in range(layers)] for _ in metrics]
    return {"axis": axis, "teacher": teacher, "runs": runs, "shared": False, "layers": False, "metrics": labels,
            "targets": [{"keep": [512] * layers, "of": [1024] * layers, "runs": runs, "chance": {"share": 0.5, "jaccard": 1 / 3}}],
            "pairs": pairs, "stability": stability,
            "maps": [{"metric": i, "samples": samples[-1], "mean": mean, "normalised": [(v - min(mean)) / (max(mean) - min(mean)) for v in mean]} for i, mean in enumerate(means)]}


def verdict(a, b, moment, difference, half, seeds, documents, comparisons, teachers):
    low, high = difference - half, difference + half
    outcome = "better" if high < 0 else "worse" if low > 0 else "undecided"
    word = {"better": "better than", "worse": "worse than", "undecided": "not told apart from"}[outcome]
    by = f" by {abs(difference):.4f} nats per token" if outcome != "undecided" else ""
    return {"a": a, "b": b, "moment": moment, "difference": difference, "low": low, "high": high, "unit": "nats per token",
            "difference_bits_per_byte": difference * BITS, "low_bits_per_byte": low * BITS, "high_bits_per_byte": high * BITS,
            "outcome": outcome, "comparisons": comparisons, "seeds": seeds, "documents": documents, "teachers": teachers,
            "scope": "documents and seeds" if seeds > 1 else "documents alone",
            "seeds_needed": 9 if outcome == "undecided" and seeds > 1 else None, "documents_needed": 1840 if outcome == "undecided" else None,
            "text": f"{a} is {word} {b}{by} (95 % interval {low:.4f} to {high:.4f}, {seeds} seed{'s' * (seeds > 1)} × {documents} documents)"}


def comparison(title, names, seeds, teachers, layers, full):
    rng = random.Random(11)
    result = {"schema": 1, "title": title, "baseline": names[0], "level": 0.95, "verdicts": [], "arms": [], "teachers": [], "runs": [],
              "curves": [], "scores": [], "metric_lab": None, "differences": [], "match": None, "failed": [], "protocol": PROTOCOL, "environment": ENVIRONMENT}
    for i, teacher in enumerate(teachers):
        nll = 1.21 + 0.012 * i
        result["teachers"].append({"name": teacher, "nll": nll, "bits_per_byte": nll * BITS, "parameters": 1_246_720, "non_embedding_parameters": 1_114_880, "bytes": 4_986_880,
                                   "speed": {"time_to_first_token_ms": 41.2, "prefill_tokens_per_s": 9100, "decode_tokens_per_s": 190.2, "peak_bytes": 81_000_000} if full else None})
    finals = {}
    for i, arm in enumerate(names):
        final, start = 1.30 + 0.02 * ((i * 7 + 4) % 10) + (0.25 if arm == "random-weights" else 0), 1.7 + 0.15 * i
        parameters, losses, runs, curves = 595_680 - 5_000 * ((i * 3) % 4) + (60_000 * i if full else 0), [], [], []
        for t, teacher in enumerate(teachers):
            for seed in seeds:
                name = f"{arm}-{teacher}-seed{seed}" if len(teachers) > 1 else f"{arm}-seed{seed}"
                failed = full and (arm, seed, t) in (("heads-only", 3, 2), ("searched-shape", 1, 1))
                loss = final + 0.012 * t + rng.gauss(0, 0.006)
                result["runs"].append({"name": name, "arm": arm, "seed": seed, "teacher": teacher, "folder": name, "state": "failed" if failed else "done",
                                       "error": "" if not failed else "disk full", "nll": None if failed else loss, "bits_per_byte": None if failed else loss * BITS,
                                       "before_nll": start + 0.01 * t if full and not failed else None, "before_bits_per_byte": None, "seconds": None if failed else 312.0 + 4 * i + seed})
                if failed:
                    result["failed"].append({"run": name, "error": f"{name}/checkpoints/iter_0000200: cannot write; got No space left on device <disk>; expected 12 MB of room"})
                    continue
                runs.append(name)
                losses.append(loss)
                curves.append({"seed": seed, **curve(rng, loss - 0.05, start)})
        finals[arm] = about(losses)
        before = about([start + rng.gauss(0, 0.01) for _ in losses]) if full else {"mean": None, "sd": None, "low": None, "high": None}
        speed = {"time_to_first_token_ms": 22.4 + i, "prefill_tokens_per_s": 17_400 - 600 * i, "decode_tokens_per_s": 331.0 - 11 * i + (i % 3) * 20, "peak_bytes": 42_000_000 + 900_000 * i} if full else None
        result["arms"].append({"name": arm, "runs": runs, "parameters": parameters + 65_000, "non_embedding_parameters": parameters, "bytes": 4 * (parameters + 65_000),
                               "kv_bytes_per_token": 3072 - 256 * (i % 3), "flops_per_token": 2 * parameters, "tokens": 3_276_800, "seconds": 318.0 + 4 * i,
                               "teacher": {"nll": 1.21, "bits_per_byte": 1.21 * BITS}, "before": {"nll": before, "bits_per_byte": in_bits(before)},
                               "after": {"nll": finals[arm], "bits_per_byte": in_bits(finals[arm])},
                               "sources": {"novels.txt": {"mean": finals[arm]["mean"] * 1.02, "sd": 0.008 if len(losses) > 1 else None}, "letters.txt": {"mean": finals[arm]["mean"] * 0.96, "sd": None}},
                               "tasks": {"rhymes": {"mean": 0.61 - 0.01 * i, "stderr": 0.02}} if full else {}, "speed": speed})
        result["curves"].append({"arm": arm, "runs": curves, "terms": ["kl"] if i != 9 else ["kl", "cross_entropy"]})
        if arm != "random-weights":
            first = runs[0]
            result["scores"].append(score_map(rng, first, "ffn", "activation", layers, 172 if not full else 256, 0.55, False))
            result["scores"].append(score_map(rng, first, "hidden", "activation", layers, 64 if not full else 256, 0.7, True))
            result["scores"].append(score_map(rng, first, "layers", "loss_drop", layers, layers, 0.7, True))
    comparisons = len(names) - 1
    for arm in names[1:]:
        difference = finals[names[0]]["mean"] - finals[arm]["mean"]
        result["verdicts"].append(verdict(names[0], arm, "after", difference, 0.024 if full else 0.0152, len(seeds), 412, comparisons, len(teachers)))
        if full:
            result["verdicts"].append(verdict(names[0], arm, "before", 6 * difference - 0.2, 0.02, len(seeds), 412, comparisons, len(teachers)))
    first = [run["name"] for run in result["runs"] if run["state"] == "done"]
    metrics = ["activation (batch=l2)", "activation (batch=mean)", "taylor", "wanda", "magnitude", "random"] if full else ["activation"]
    result["metric_lab"] = {"schema": 1, "threshold": 0.95, "axes": [
        lab_axis(rng, axis, first[:9], metrics, layers, "abcdef0123456789", [16, 64, 256, 1024] if full else [256]) for axis in (["ffn", "heads"] if full else ["ffn"])]}
    prune = {arm: f'[{{"axis":"{"layers" if "depth" in arm else "ffn"}","keep":{4 + i},"metric":{{"name":"activation"}}}}]' for i, arm in enumerate(names)}
    result["differences"] = [{"key": "prune", "values": prune}, {"key": "distill.tokens", "values": {arm: "3276800" if i % 4 else "6553600" for i, arm in enumerate(names)}}]
    if full:
        result["match"] = {"by": "non_embedding_parameters", "tolerance": 0.01, "target": 595680, "values": {arm["name"]: arm["non_embedding_parameters"] for arm in result["arms"]}}
    return result


def small():
    return comparison("width-vs-depth", ARMS[:2], [1], ["teacher"], 6, False)


def large():
    return comparison("Ten ways to halve a model </script> & <three> teachers", ARMS, [1, 2, 3], ["novels", "letters", "mixture"], 24, True)


def thirty():
    return comparison("thirty runs", ARMS, [1, 2, 3], ["teacher"], 32, True)


def without_numbers(value, key=None):
    """The same comparison as if nothing had been measured: every number is null, every list of numbers is empty."""
    if isinstance(value, dict):
        return {name: without_numbers(entry, name) for name, entry in value.items()}
    if isinstance(value, list):
        return [without_numbers(entry) for entry in value if not isinstance(entry, (int, float))]
    places = ("schema", "a", "b", "metric", "target")  # of the laboratory: which metric, not how much
    return None if isinstance(value, (int, float)) and not isinstance(value, bool) and key not in places else value


def nulls():
    return without_numbers(large())


def long_names():
    """Names that no box was made for."""
    text = json.dumps(small())
    for name in ("width", "depth", "activation", "novels.txt", "teacher", "cpu"):
        text = text.replace(f'"{name}"', f'"{name}_{"of_the_second_kind_" * 5}{name}"' if name != "teacher" else '"teacher"')
    return json.loads(text)


def bare():
    """As nulls, and every part that may be missing is."""
    result = small()
    result.update(teachers=[], metric_lab=None, environment=None, protocol=None, baseline=None, level=None)
    for arm in result["arms"]:
        arm.update(before=None, after=None, teacher=None, speed=None, sources=None, tasks=None)
    for one in result["verdicts"]:
        one.update(text=None, scope=None, low=None, high=None)
    for one in result["scores"]:
        one.update(kept=None, layers=[[], [1.0, None, 2.0]], bin=None)
    result["curves"][0]["runs"] = []
    return result


if __name__ == "__main__":
    with open(sys.argv[2], "w", encoding="utf-8") as file:
        json.dump({"small": small, "large": large, "thirty": thirty, "nulls": nulls, "long": long_names, "bare": bare}[sys.argv[1]](), file)
