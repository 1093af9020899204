"""The guide's recipes for Ray and Spark; a recipe is skipped if its package is not installed."""

import subprocess
import sys
import textwrap
from importlib.util import find_spec

import pytest

ROWS = """
    import numpy as np
    from skgd import GDClassifier
    from skgd.batches import mapped

    rng = np.random.default_rng(0)
    Z = rng.normal(size=(4000, 4))
    X, y = Z * [1e-3, 1.0, 1e3, 10.0], (Z.sum(axis=1) + rng.logistic(size=4000) > 0).astype(int)
    batches = [(X[i : i + 700], y[i : i + 700]) for i in range(0, 4000, 700)]
"""
RECIPES = {
    "ray": """
    import ray

    ray.init(num_cpus=2, include_dashboard=False)

    @ray.remote
    def call(function, number, partition):
        return function(number, partition)

    partitions = [ray.put((X, y)) for X, y in batches]

    def everywhere(function):
        function = ray.put(function)
        return ray.get([call.remote(function, number, partition) for number, partition in enumerate(partitions)])
""",
    "pyspark": """
    from pyspark.sql import SparkSession

    here = {"spark.ui.enabled": "false", "spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1"}
    spark = SparkSession.builder.master("local[2]").config(map=here).getOrCreate()
    rdd = spark.sparkContext.parallelize(batches, len(batches))

    def everywhere(function):
        return rdd.mapPartitionsWithIndex(lambda number, rows: [function(number, partition) for partition in rows]).collect()
""",
}
FITS = """
    local, model = GDClassifier().fit(X, y), GDClassifier().fit_batches(mapped(everywhere))
    print("the same" if np.allclose(model.coef_, local.coef_, rtol=1e-10) else "different")
"""


@pytest.mark.parametrize("package", RECIPES)
def test_recipe_gives_the_model_of_a_local_fit(package, tmp_path, monkeypatch):
    if find_spec(package) is None:
        pytest.skip(f"{package} is not installed")
    monkeypatch.setenv("PYSPARK_PYTHON", sys.executable)
    script = tmp_path / "recipe.py"
    script.write_text(textwrap.dedent(ROWS) + textwrap.dedent(RECIPES[package]) + textwrap.dedent(FITS))
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=180, check=False)
    assert done.stdout.splitlines()[-1:] == ["the same"], done.stdout + done.stderr
