"""The estimators on a cluster: where the local fit of all rows ends, whatever the partitions and the workers."""

import pickle
import signal
import subprocess
import sys
import textwrap
import threading
import time

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.metrics import accuracy_score, r2_score

da = pytest.importorskip("dask.array")
dd = pytest.importorskip("dask.dataframe")
distributed = pytest.importorskip("distributed")

from skgd import GDClassifier, GDRegressor  # noqa: E402  after what it may have to be skipped for
from skgd.dask import DaskGDClassifier, DaskGDRegressor  # noqa: E402  as above

N, D = 1200, 5
CLUSTER = {"threads_per_worker": 1, "processes": False, "dashboard_address": ":0", "silence_logs": 50}
pytestmark = pytest.mark.filterwarnings("ignore:.*:DeprecationWarning:distributed")


@pytest.fixture(scope="module")
def client():
    with distributed.LocalCluster(n_workers=2, **CLUSTER) as cluster, distributed.Client(cluster) as client:
        yield client


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(0)
    Z = rng.normal(size=(N, D))
    X = Z * np.logspace(-2, 2, D) + np.linspace(-3.0, 3.0, D)
    weights = rng.uniform(0.1, 2.0, N) * (rng.random(N) < 0.9)
    return X, Z @ rng.normal(size=D) + rng.logistic(size=N), weights


def shared(*arrays, chunks=(300, -1)):
    return [da.from_array(array, chunks=chunks if array.ndim == 2 else chunks[0]) for array in arrays]


# ---------------------------------------------------------------- the same answer
@pytest.mark.parametrize("chunks", [(1200, -1), (500, 2), (97, -1)], ids=str)
@pytest.mark.parametrize("labels", [[0, 1], ["a", "b", "c"], [2.0, 5.0]], ids=str)
def test_a_classifier_is_the_local_one(labels, chunks, client, rows):
    X, z, weights = rows
    y = np.array(labels)[np.digitize(z, [0.0, 1.0][: len(labels) - 1])]
    local = GDClassifier().fit(X, y, weights)
    model = DaskGDClassifier().fit(*shared(X, y, weights, chunks=chunks))
    assert_array_equal(model.classes_, labels)
    assert_allclose(model.coef_, local.coef_, rtol=1e-10)
    assert_allclose(model.intercept_, local.intercept_, rtol=1e-10)
    assert_allclose(model.loss_curve_, local.loss_curve_, rtol=1e-10)


@pytest.mark.parametrize(
    ("local", "model"),
    [
        (GDRegressor(), DaskGDRegressor()),
        (GDRegressor(penalty="l1", alpha=0.05), DaskGDRegressor(penalty="l1", alpha=0.05)),
        (GDRegressor("huber"), DaskGDRegressor("huber")),
        (GDRegressor("quantile", alpha=0.01), DaskGDRegressor("quantile", alpha=0.01)),
    ],
    ids=["ridge", "lasso", "huber", "quantile"],
)
def test_a_regressor_is_the_local_one(local, model, client, rows):
    X, z, weights = rows
    local = clone(local).fit(X, z, weights)
    model = clone(model).fit(*shared(X, z, weights))
    if local.loss != "quantile":  # whose kinks are rounded where rows are in partitions
        assert_allclose(model.coef_, local.coef_, rtol=1e-8, atol=1e-10)
    assert_allclose(model.loss_curve_[-1], local.loss_curve_[-1], rtol=1e-10 if local.loss != "quantile" else local.tol)


@pytest.mark.parametrize("workers", [1, 3])
def test_the_number_of_workers_does_not_change_a_bit(workers, client, rows):
    X, z, _ = rows
    fits = {solver: DaskGDRegressor("huber", solver=solver, random_state=0).fit(*shared(X, z)) for solver in ("gd", "sgd")}
    cluster = distributed.LocalCluster(n_workers=workers, **CLUSTER)
    with cluster, distributed.Client(cluster, set_as_default=False) as other:
        for solver, model in fits.items():
            again = DaskGDRegressor("huber", solver=solver, random_state=0, client=other).fit(*shared(X, z))
            assert_array_equal(again.coef_, model.coef_)
            assert again.loss_curve_ == model.loss_curve_


@pytest.mark.parametrize("targets", [1, 2])
def test_csr_blocks_and_several_targets(targets, client, rows):
    X, z, _ = rows
    X = sp.csr_matrix(X * (np.random.default_rng(1).random(X.shape) < 0.4))
    y = np.column_stack([z, np.cos(z)])[:, :targets].squeeze()
    blocks = [da.from_delayed(block, (300, D), float) for block in map(_delayed, [X[i : i + 300] for i in range(0, N, 300)])]
    dX, dy = da.concatenate(blocks), da.from_array(y, chunks=(300, -1)[: y.ndim])
    local, model = GDRegressor().fit(X, y), DaskGDRegressor().fit(dX, dy)
    assert_allclose(model.coef_, local.coef_, rtol=1e-9)
    assert_allclose(model.predict(dX).compute(), local.predict(X), rtol=1e-9)
    assert model.score(dX, dy) == pytest.approx(r2_score(y, local.predict(X)), rel=1e-9)


@pytest.mark.parametrize("targets", [1, 2])
@pytest.mark.parametrize("loss", ["poisson", "gamma"])
def test_the_score_of_counts_is_that_of_the_local_model(loss, targets, client, rows):
    X, z, weights = rows
    y = np.exp(0.3 * np.column_stack([z, np.cos(z)]))[:, :targets].squeeze()
    model = DaskGDRegressor(loss).fit(*shared(X, y))
    local = model.to_local()
    assert model.score(*shared(X, y)) == pytest.approx(local.score(X, y), rel=1e-9)
    assert model.score(*shared(X, y, weights)) == pytest.approx(local.score(X, y, weights), rel=1e-9)
    assert model.score(*shared(X, np.full_like(y, 3.0))) == local.score(X, np.full_like(y, 3.0)) == 0.0


def _delayed(value):
    import dask

    return dask.delayed(value)


@pytest.mark.parametrize("known", [True, False])
def test_frames(known, client, rows):
    """Partitions of unknown sizes, one of them empty, a class missing in most, a column constant in some."""
    X, z, weights = rows
    X = X.copy()
    X[:500, 1] = 3.0
    frame = pd.DataFrame(X, columns=[f"x{j}" for j in range(D)]).assign(y=np.sort(np.digitize(z, [-1.0, 2.0])), w=weights)
    data = dd.from_pandas(frame, npartitions=5) if known else dd.concat([dd.from_pandas(frame, npartitions=4)])
    if not known:
        partitions = [frame[:100], frame[100:100], frame[100:700], frame[700:]]
        data = dd.from_delayed([_delayed(partition) for partition in partitions], meta=frame[:0])
    features = data[list(frame.columns[:D])]
    local = GDClassifier(class_weight="balanced").fit(frame.iloc[:, :D], frame["y"], frame["w"])
    model = DaskGDClassifier(class_weight="balanced").fit(features, data["y"], data["w"])
    assert_allclose(model.coef_, local.coef_, rtol=1e-9)
    assert_array_equal(model.feature_names_in_, local.feature_names_in_)
    assert_array_equal(model.predict(features).compute(), local.predict(frame.iloc[:, :D]))
    assert_allclose(model.predict_proba(features).compute(), local.predict_proba(frame.iloc[:, :D]), rtol=1e-7, atol=1e-12)
    expected = accuracy_score(frame["y"], local.predict(frame.iloc[:, :D]), sample_weight=weights)
    assert model.score(features, data["y"], data["w"]) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("solver", ["sgd", "adam"])
@pytest.mark.parametrize("sort", [False, True], ids=["alike", "partitions of one class"])
def test_local_epochs_come_within_a_percent(sort, solver, client, rows):
    X, z, _ = rows
    order = np.argsort(z) if sort else np.arange(N)
    X, y = X[order], (z[order] > 0).astype(int)
    model = DaskGDClassifier(solver=solver, random_state=0, max_iter=100, tol=None).fit(*shared(X, y))
    best = GDClassifier(tol=1e-9).fit(X, y).loss_curve_[-1]
    assert model.loss_curve_[-1] <= 1.01 * best


# ---------------------------------------------------------------- lazy predictions, local models
def test_predictions_are_computed_when_asked_for(client, rows):
    X, z, _ = rows
    y = np.digitize(z, [0.0, 1.0])
    dX, dy = shared(X, y)
    model = DaskGDClassifier().fit(dX, dy)
    local = model.to_local()
    assert type(local) is GDClassifier
    for method in ("predict", "predict_proba", "predict_log_proba", "decision_function"):
        lazy, eager = getattr(model, method)(dX), getattr(local, method)(X)
        assert isinstance(lazy, da.Array)
        assert lazy.shape == eager.shape
        assert lazy.dtype == eager.dtype
        assert lazy.chunks[0] == dX.chunks[0]
        assert_array_equal(lazy.compute(), eager)
    binary = DaskGDClassifier().fit(dX, (dy > 0).astype(int))
    assert_array_equal(binary.decision_function(dX).compute(), binary.to_local().decision_function(X))


def test_pickles_leave_the_client_out(client, rows):
    X, z, _ = rows
    model = DaskGDRegressor(alpha=0.5, client=client).fit(*shared(X, z))
    again = pickle.loads(pickle.dumps(model))
    assert again.client is None
    assert_array_equal(again.coef_, model.coef_)
    assert again.client_ is client
    assert clone(model).get_params()["client"] is client
    assert "client" not in vars(model.to_local())
    assert model.to_local().get_params() == GDRegressor(alpha=0.5).get_params()


def test_constructor_takes_all_parameters_and_the_client_last():
    from inspect import signature

    names = list(signature(DaskGDClassifier).parameters)
    assert names == [*signature(GDClassifier).parameters, "client"]


def test_early_stopping_on_rows_in_memory(client, rows):
    X, z, _ = rows
    model = DaskGDRegressor("huber", early_stopping=True).fit(*shared(X, z), X_val=X[:200], y_val=z[:200])
    assert model.best_validation_score_ == pytest.approx(model.to_local().score(X[:200], z[:200]))


# ---------------------------------------------------------------- errors
def test_an_error_names_the_partition_and_the_estimator_stays_as_it_was(client, rows):
    X, z, _ = rows
    model = DaskGDRegressor().fit(*shared(X, z))
    before = dict(vars(model))
    spoiled = X.copy()
    spoiled[700, 1] = np.nan
    with pytest.raises(ValueError, match="Partition 2: Input X contains NaN"):
        model.fit(*shared(spoiled, z))
    assert vars(model) == before
    with pytest.raises(ValueError, match="have to be in the same partitions, but X has 4, y has 3"):
        model.fit(dd.from_dask_array(shared(X)[0]), da.from_array(z, chunks=400))
    with pytest.raises(TypeError, match="X has to be a dask array or dataframe, but is a ndarray"):
        model.fit(X, z)
    with pytest.raises(TypeError, match="X has to be a dask array"):
        model.predict(X)
    with pytest.raises(ValueError, match="Unknown label type"):
        DaskGDClassifier().fit(*shared(X, z))


def test_a_pass_is_one_task_for_each_worker(client, rows, monkeypatch):
    X, z, _ = rows
    submitted, submit = [], client.submit
    monkeypatch.setattr(client, "submit", lambda *args, **kwargs: submitted.append(kwargs) or submit(*args, **kwargs))
    model = DaskGDRegressor("huber").fit(*shared(X, z, chunks=(60, -1)))
    assert len(submitted) <= 2 * (model.n_iter_ + 8)
    assert all(kwargs["allow_other_workers"] for kwargs in submitted)


STARTED = threading.Event()


def slowly(block):
    """Of the module, as what is sent may have to be pickled."""
    STARTED.set()
    time.sleep(0.5)
    return block


@pytest.fixture
def listening():
    """Ctrl-C raises, though jobs that a shell starts in the background ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("listening")
def test_interruption_cancels_the_tasks(client, rows):
    """Ctrl-C while a round is under way: the tasks that wait are cancelled, and the estimator is as before."""
    X, z, _ = rows
    model = DaskGDRegressor()
    STARTED.clear()
    slow = da.from_array(X, chunks=(40, -1)).map_blocks(slowly, meta=X[:0])  # a meta, or Dask calls `slowly` for it here
    assert not STARTED.is_set()
    main = threading.get_ident()
    threading.Thread(target=lambda: (STARTED.wait(20), signal.pthread_kill(main, signal.SIGINT))).start()
    with pytest.raises(KeyboardInterrupt):
        model.fit(slow, da.from_array(z, chunks=40))
    assert not hasattr(model, "coef_")
    deadline = time.monotonic() + 20
    while any(client.processing().values()) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not any(client.processing().values())


# ---------------------------------------------------------------- a worker is killed
KILLED = """
    import os, signal, sys, threading, time
    import numpy as np
    import dask.array as da
    from distributed import Client, LocalCluster
    from skgd import GDClassifier
    from skgd.dask import DaskGDClassifier

    def made(block_info=None):
        (first, last), _ = block_info[None]["array-location"]
        return rows()[0][first:last]

    def rows():
        rng = np.random.default_rng(0)
        X = rng.normal(size=(4000, 6)) * np.logspace(-2, 2, 6)
        return X, (X @ (rng.normal(size=6) / np.logspace(-2, 2, 6)) + rng.logistic(size=4000) > 0).astype(int)

    if __name__ == "__main__":
        X, y = rows()
        with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0", silence_logs=50) as cluster:
            with Client(cluster) as client:
                if sys.argv[1] == "recomputed":
                    dX = da.map_blocks(made, chunks=((500,) * 8, (6,)), dtype=float)
                else:  # nobody can make these rows again
                    scattered = client.scatter([X[i : i + 500] for i in range(0, 4000, 500)])
                    dX = da.concatenate([da.from_delayed(block, (500, 6), float) for block in scattered])
                dy = da.from_array(y, chunks=500)
                victim = next(iter(cluster.workers.values())).pid
                killed = []

                def watcher(iteration, *_):
                    if not killed:
                        killed.append(os.kill(victim, signal.SIGKILL))
                    return False

                import skgd.training as training
                from skgd.monitoring.history import History

                class Watched(History):
                    def __init__(self, *arguments):
                        super().__init__(*arguments)
                        self.watchers = *self.watchers, watcher

                training.History = Watched
                start = time.monotonic()
                try:
                    model = DaskGDClassifier(tol=1e-9).fit(dX, dy)
                except Exception as error:
                    print(type(error).__name__, "after", round(time.monotonic() - start), "s")
                else:
                    local = GDClassifier(tol=1e-9).fit(X, y)
                    print("same" if np.allclose(model.coef_, local.coef_, rtol=1e-9) else "different", len(killed), "killed")
"""


@pytest.mark.parametrize(("rows", "says"), [("recomputed", "same 1 killed"), ("scattered", "after")])
def test_a_worker_that_is_killed(rows, says, tmp_path):
    """Another worker makes its partitions again, or the fit says at once that they are lost."""
    script = tmp_path / "killed.py"
    script.write_text(textwrap.dedent(KILLED))
    done = subprocess.run([sys.executable, str(script), rows], capture_output=True, text=True, timeout=180, check=False)
    assert says in done.stdout, done.stdout + done.stderr
