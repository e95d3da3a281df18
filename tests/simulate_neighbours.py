"""Runs made from known coefficients of the neighbour laws, as `simulate` makes those of the main ones."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from simulate import Design, grid


def kaplan() -> Design:
    """A law without a floor: over a wide range of both, so that each exponent shows alone."""
    t = {"alpha_N": 0.076, "N_c": 6.4e13, "alpha_D": 0.103, "D_c": 1.8e13}
    N, D = grid(np.geomspace(1e6, 3e9, 7), np.geomspace(1e8, 1e12, 6))
    loss = ((t["N_c"] / N) ** (t["alpha_N"] / t["alpha_D"]) + t["D_c"] / D) ** t["alpha_D"]
    return Design("kaplan", t, {"N": N, "D": D}, loss)


def translation_mixture() -> Design:
    """German at the shares of the paper, helped by what French shares with it."""
    t = {"E": 0.9, "A": 60.0, "alpha": 0.25, "c1": 0.5, "c2": 0.6, "c3": 0.8}
    N, p = grid(np.geomspace(2e7, 2e9, 8), [0.01, 0.05, 0.1, 0.3, 0.5, 0.7, 0.9, 0.95, 1])
    fraction = p + t["c1"] * p ** t["c2"] * (1 - p) ** t["c3"]
    columns = {"N": N, "D": np.full(len(N), 1e11), "target": ["de"] * len(N), "share:de": p, "share:fr": 1 - p}
    return Design("translation-mixture", t, columns, t["E"] + t["A"] * (fraction * N) ** -t["alpha"])


def mixtures(languages: int, count: int, seed: int = 5) -> np.ndarray:
    """Shares `(count, languages)`: each alone, and mixtures of all degrees."""
    rng = np.random.default_rng(seed)
    drawn = rng.dirichlet(np.full(languages, 0.6), count - languages)
    return np.concatenate([np.eye(languages), drawn])


def code_mixture() -> Design:
    """Three programming languages, of which two help each other."""
    names, t = ("go", "java", "rust"), {"A": 90.0, "B": 900.0, "gamma": 1.0}
    E, alpha, beta = np.array([0.4, 0.6, 0.5]), np.array([0.28, 0.30, 0.33]), np.array([0.31, 0.34, 0.29])
    tau = np.array([0.9, 0.3, -0.4])
    N, D, which = grid(np.geomspace(5e7, 3e9, 4), np.geomspace(2e9, 2e11, 4), np.arange(14))
    shares = mixtures(3, 14)[which.astype(int)]
    met = sum(tau[k] * shares[:, i] * shares[:, j] for k, (i, j) in enumerate([(0, 1), (0, 2), (1, 2)]))
    loss = t["A"] / N ** (shares @ alpha) + t["B"] / (D * (1 + met)) ** (shares @ beta) + shares @ E
    for k, (x, y) in enumerate([("go", "java"), ("go", "rust"), ("java", "rust")]):
        t[f"tau[{x},{y}]"] = tau[k]
    for name, values in (("E", E), ("alpha", alpha), ("beta", beta)):
        t |= {f"{name}[{n}]": v for n, v in zip(names, values, strict=True)}
    columns = {"N": N, "D": D, **{f"share:{n}": shares[:, i] for i, n in enumerate(names)}}
    return Design("code-mixture", t, columns, loss, {"free": ["tau"]})


def data_transfer() -> Design:
    """Half of the runs start from a checkpoint."""
    t = {"E": 0.8, "A": 200.0, "alpha": 0.3, "B": 300.0, "beta": 0.28, "k": 2e4, "data": 0.18, "size": 0.38}
    N, D, started = grid(np.geomspace(1e7, 1e9, 5), np.geomspace(1e6, 1e10, 6), [0, 1])
    D_E = D + started * t["k"] * D ** t["data"] * N ** t["size"]
    init = [None if s == 0 else "english-1" for s in started]
    return Design(
        "data-transfer",
        t,
        {"N": N, "D": D, "init": init},
        t["E"] + t["A"] / N ** t["alpha"] + t["B"] / D_E ** t["beta"],
    )


def data_transfer_one_size() -> Design:
    t = {"E": 0.8, "B": 300.0, "beta": 0.28, "k": 3e7, "data": 0.2}
    D, started = grid(np.geomspace(1e6, 1e10, 16), [0, 1])
    init = ["scratch" if s == 0 else "english-1" for s in started]
    loss = t["E"] + t["B"] / (D + started * t["k"] * D ** t["data"]) ** t["beta"]
    return Design("data-transfer-one-size", t, {"D": D, "init": init}, loss)


def fine_tuning() -> Design:
    t = {"E": 0.7, "A": 500.0, "alpha": 0.17, "beta": 0.14}
    N, D = grid(np.geomspace(1e8, 1e11, 6), np.geomspace(1e5, 1e9, 6))
    return Design("fine-tuning", t, {"N": N, "D": D}, t["E"] + t["A"] / (N ** t["alpha"] * D ** t["beta"]))


def d_cpt() -> Design:
    t = {
        **{"E": 1.0, "A": 400.0, "alpha": 0.34, "B": 600.0, "beta": 0.29},
        **{"eta": 0.4, "C": 0.1, "eps": 0.03, "gamma": 0.9},
    }
    p = [0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.33, 0.66, 1]
    N, D, p = grid(np.geomspace(3e7, 3e9, 5), np.geomspace(1e8, 3e11, 5), p)
    loss = t["E"] + t["A"] / N ** t["alpha"] + t["B"] * p ** t["eta"] / D ** t["beta"]
    loss = loss + t["C"] / (p + t["eps"]) ** t["gamma"]
    columns = {"N": N, "D": D, "target": ["de"] * len(N), "share:de": p, "share:en": 1 - p}
    return Design("d-cpt", t, columns, loss)


def bimix() -> Design:
    t = {"alpha": 0.11, "B": 400.0, "beta": 0.28, "C": 1.6}
    D, p = grid(np.geomspace(1e8, 1e12, 7), [0.02, 0.1, 0.25, 0.5, 1])
    columns = {"D": D, "target": ["de"] * len(D), "share:de": p, "share:en": 1 - p}
    return Design("bimix", t, columns, p ** -t["alpha"] * (t["B"] / D ** t["beta"] + t["C"]))


def data_mixing() -> Design:
    """Estonian under mixtures of four languages; Finnish is nearly as good as itself."""
    names = ("ekk_Latn", "fin_Latn", "deu_Latn", "cmn_Hani")
    t = dict(zip([f"t[{n}]" for n in names], [-1.2, -0.4, 0.8, 1.3], strict=True))
    shares = mixtures(4, 60)
    loss = 1.1 + np.exp(shares @ np.array(list(t.values())))
    columns = {"target": ["et"] * 60, **{f"share:{n}": shares[:, i] for i, n in enumerate(names)}}
    return Design("data-mixing", {"E": 1.1, **t}, columns, loss)


def merging() -> Design:
    t = {"E": 0.5, "B": 60.0, "beta": 0.25, "A": 0.9, "gamma": 0.08, "b": 0.4}
    N, k = grid(np.geomspace(1e8, 7e10, 7), np.arange(1, 10))
    loss = t["E"] + t["B"] / N ** t["beta"] + t["A"] * N ** -t["gamma"] / (k + t["b"])
    return Design("merging", t, {"N": N, "k": k}, loss)


def vocabulary() -> Design:
    """Losses below zero: their noise is added, and they are fitted by squares."""
    t = {"E": 5.5, "A1": 2000.0, "alpha1": 0.4, "A2": 300.0, "alpha2": 0.45, "B": 9000.0, "beta": 0.43}
    N_nv, N_v, D = grid(np.geomspace(3e7, 3e9, 5), np.geomspace(3e6, 3e8, 5), np.geomspace(1e9, 3e11, 5))
    loss = -t["E"] + t["A1"] / N_nv ** t["alpha1"] + t["A2"] / N_v ** t["alpha2"] + t["B"] / D ** t["beta"]
    columns = {
        "params_non_embedding": N_nv,
        "params_total": N_nv + N_v,
        "D": D,
        "unit": ["unigram-normalised"] * len(D),
    }
    return Design("vocabulary", t, columns, loss, {"objective": "squared"})


def parallel_languages() -> Design:
    t = {"alpha": 0.31, "beta": 0.16}
    K = np.repeat(np.arange(1, 12), 2)
    return Design("parallel-languages", t, {"K": K, "unit": ["metric"] * len(K)}, t["alpha"] * K ** t["beta"])


def token_equivalents() -> Design:
    t = {"a": 4e3, "b": 4.0, "c": 5.0}
    D = np.geomspace(1e6, 1e10, 25)
    columns = {"D": D, "unit": ["metric"] * len(D)}
    return Design("token-equivalents", t, columns, t["c"] - t["a"] / np.log10(D) ** t["b"], {"objective": "squared"})


def falling() -> Design:
    """Word error rate against hours of speech."""
    t = {"E": 0.06, "B": 0.9, "beta": 0.45}
    hours = np.geomspace(1, 1e4, 20)
    columns = {"hours": hours, "unit": ["metric"] * 20}
    return Design("falling", t, columns, t["E"] + t["B"] / hours ** t["beta"], {"columns": {"x": "hours"}})


def rising() -> Design:
    """Accuracy against languages."""
    t = {"ceiling": 0.8, "B": 0.5, "beta": 0.6}
    x = np.geomspace(1, 400, 20)
    columns = {"n_languages": x, "unit": ["metric"] * 20}
    return Design("rising", t, columns, t["ceiling"] - t["B"] / x ** t["beta"], {"columns": {"x": "n_languages"}})


NEIGHBOURS: dict[str, Callable[[], Design]] = {
    "kaplan": kaplan,
    "translation-mixture": translation_mixture,
    "code-mixture": code_mixture,
    "data-transfer": data_transfer,
    "data-transfer-one-size": data_transfer_one_size,
    "fine-tuning": fine_tuning,
    "d-cpt": d_cpt,
    "bimix": bimix,
    "data-mixing": data_mixing,
    "merging": merging,
    "vocabulary": vocabulary,
    "parallel-languages": parallel_languages,
    "token-equivalents": token_equivalents,
    "falling": falling,
    "rising": rising,
}
