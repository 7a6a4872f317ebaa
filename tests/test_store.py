"""The database, SQLite and a real PostgreSQL: idempotent, all or nothing, honest about what it cannot reach."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest
from alembic import command as alembic_command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from conftest import command, environment
from sqlalchemy import Engine, inspect, text

from quiebra import store
from quiebra.errors import StoreError, WorkspaceError
from quiebra.io.files import read_json, write_json
from quiebra.store.audit import AuditRecord, append_entries
from quiebra.store.bulk import upsert
from quiebra.store.engine import translate_database_errors
from quiebra.store.run_files import read_publication
from quiebra.store.tables import Base, MacroObservation
from quiebra.workspace import Workspace

TABLES = ("empresas", "datos_financieros", "datos_macroeconomicos", "modelos", "ejecuciones", "predicciones")
VIEWS = ("v_ultimas_predicciones", "v_kpi_mes", "v_kpi_sector", "v_kpi_region")


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'test.db'}"
    return request.getfixturevalue("postgres")(f"db{abs(hash(request.node.name)) % 10**8}_{time.time_ns()}")


@pytest.fixture
def engine(url: str) -> Engine:
    engine = store.connect(url)
    store.upgrade_schema(engine)
    return engine


def contents(engine: Engine) -> dict[str, list]:
    with engine.connect() as connection:
        return {name: sorted(map(repr, connection.execute(text(f"SELECT * FROM {name}")))) for name in TABLES}


def test_what_is_committed_stays_where_one_process_opens_the_database_twice_and_another_leaves(tmp_path: Path) -> None:
    """A file that is opened and closed loses all locks that its process holds on it: SQLite's too, which then takes the other
    process for the last reader and removes the log that this one goes on to write."""
    url = f"sqlite:///{tmp_path / 'test.db'}"
    engine = store.connect(url)
    store.upgrade_schema(engine)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE seen (who TEXT)"))
    store.connect(url)
    other = (
        f"import sqlite3; c = sqlite3.connect({str(tmp_path / 'test.db')!r}); c.execute(\"INSERT INTO seen VALUES ('other')\")"
    )
    subprocess.run([sys.executable, "-c", f"{other}; c.commit(); c.close()"], check=True)
    with engine.begin() as connection:
        connection.execute(text("INSERT INTO seen VALUES ('this')"))
    with store.connect(url).connect() as connection:
        assert sorted(connection.execute(text("SELECT who FROM seen")).scalars()) == ["other", "this"]


def test_migrations_make_the_tables_of_the_code(engine: Engine) -> None:
    store.upgrade_schema(engine)
    tables, views = inspect(engine).get_table_names(), inspect(engine).get_view_names()
    assert set(TABLES) <= set(tables)
    assert set(VIEWS) <= set(views)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []


def test_publish_twice_leaves_the_same_rows(engine: Engine, finished: Path) -> None:
    what = read_publication(Workspace(finished))
    counts = store.publish_run(engine, what)
    first = contents(engine)
    assert store.publish_run(engine, what) == counts
    assert contents(engine) == first
    assert counts["predicciones"] == what.scores.height == len(first["predicciones"])
    assert store.current_run(engine) == what.run["run_id"]


@pytest.mark.parametrize("name", ["scores", "history", "reasons", "contributions"])
def test_a_table_of_another_run_is_not_published_under_this_ones_id(name: str, workspace: Path) -> None:
    path = workspace / f"data/scores/{name}.parquet"
    run = read_json(path.with_name("run.json"))
    table = pl.read_parquet(path)
    table.tail(table.height - 1).write_parquet(path)
    with pytest.raises(
        WorkspaceError, match=rf"{name}\.parquet is not the table that run {run['run_id']} wrote: run `quiebra run`"
    ):
        read_publication(Workspace(workspace))
    write_json(path.with_name("run.json"), {part: value for part, value in run.items() if part != "files"})
    assert read_publication(Workspace(workspace)).run["run_id"] == run["run_id"], "a run of an earlier version kept no hashes"


def test_views_show_the_current_run(engine: Engine, finished: Path) -> None:
    what = read_publication(Workspace(finished))
    store.publish_run(engine, what)
    today = what.scores.filter(pl.col("kind") == "current")
    with engine.connect() as connection:
        latest = connection.execute(text("SELECT company_id, pd_12m, simulated FROM v_ultimas_predicciones")).all()
        months = connection.execute(text("SELECT month, companies FROM v_kpi_mes WHERE kind = 'current'")).all()
        sectors = connection.execute(text("SELECT SUM(companies), MAX(mean_pd_12m) FROM v_kpi_sector")).one()
        regions = connection.execute(text("SELECT SUM(companies) FROM v_kpi_region")).scalar()
    assert {row.company_id: row.pd_12m for row in latest} == dict(today.select("company_id", "pd_12m").iter_rows())
    assert all(row.simulated for row in latest)
    assert months == [(today["score_date"][0].strftime("%Y-%m"), today.height)]
    assert sectors[0] == regions == today.height
    assert 0 < sectors[1] < 1


def test_a_new_run_becomes_current_and_the_old_one_stays_traceable(engine: Engine, finished: Path) -> None:
    what = read_publication(Workspace(finished))
    store.publish_run(engine, what)
    other = what.__class__(**{**vars(what), "run": {**what.run, "run_id": "ffffffffffff"}})
    store.publish_run(engine, other)
    assert store.current_run(engine) == "ffffffffffff"
    assert store.trace_run(engine, what.run["run_id"])["current"] is False
    with engine.connect() as connection:
        assert connection.execute(text("SELECT COUNT(DISTINCT run_id) FROM v_ultimas_predicciones")).scalar() == 1


def test_trace_shows_what_made_a_run(engine: Engine, finished: Path) -> None:
    what = read_publication(Workspace(finished))
    with pytest.raises(StoreError, match="no run or model"):
        store.trace_run(engine, "0000")
    store.publish_run(engine, what)
    with pytest.raises(StoreError, match="say which run by its id"):
        store.trace_run(engine, "")
    found = store.trace_run(engine, what.run["run_id"][:6])
    assert found["data_sha256"] == what.info.sha256
    assert found["model_sha256"] == what.run["model_sha256"]
    assert found["params"]["train"]["trees"] == 40
    assert found["metrics"]["auc"] == what.models[0]["metrics"]["walk_forward"]["auc"]
    assert store.trace_run(engine, found["model_id"])["run_id"] == found["run_id"]


def test_upsert_replaces_by_key_and_stores_nan_as_missing(engine: Engine) -> None:
    table = MacroObservation.__table__
    row = {"source": "t", "series": "x", "date": "2020-01-01", "available_at": "2020-02-01", "value": float("nan")}
    frame = pl.DataFrame([row]).with_columns(pl.col("date", "available_at").str.to_date())
    with engine.begin() as connection:
        upsert(connection, table, frame)
    with engine.begin() as connection:
        assert connection.execute(text("SELECT value FROM datos_macroeconomicos")).all() == [(None,)]
        upsert(connection, table, frame.with_columns(value=pl.lit(2.5)))
    with engine.connect() as connection:
        assert connection.execute(text("SELECT value FROM datos_macroeconomicos")).all() == [(2.5,)]


SLOW_PUBLISH = """
import sys, time
from quiebra import store
from quiebra.store import publish
from quiebra.store.run_files import read_publication
from quiebra.workspace import Workspace
def stop(*_):
    print("half-way", flush=True)
    time.sleep(600)
publish._replace_scores = stop
store.publish_run(store.connect(sys.argv[1]), read_publication(Workspace.find()))
"""


def test_killed_half_way_leaves_the_database_as_it_was(engine: Engine, url: str, finished: Path) -> None:
    before = contents(engine)
    assert not any(before.values())
    process = subprocess.Popen(
        [sys.executable, "-c", SLOW_PUBLISH, url], cwd=finished, env=environment(), stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline().strip() == "half-way"
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert contents(engine) == before
    store.publish_run(engine, read_publication(Workspace(finished)))
    assert contents(engine)["predicciones"]


def test_a_failure_inside_publish_changes_nothing(engine: Engine, finished: Path) -> None:
    what = read_publication(Workspace(finished))
    broken = what.__class__(**{**vars(what), "scores": what.scores.with_columns(rating=pl.lit(None, pl.String))})
    with pytest.raises(Exception, match=r"(?i)null"):
        store.publish_run(engine, broken)
    assert not any(contents(engine).values())


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("postgresql://ana:s3cret@127.0.0.1:1/riesgo", "cannot reach the database at"),
        ("mysql://ana:s3cret@host/riesgo", "must start with"),
        ("s3cret", "is not a database address"),
        ("postgresql://ana:s3cret@host:abc/x", "is not a database address"),
        ("sqlite:////proc/none/x.db", "cannot reach the database at"),
    ],
)
def test_unusable_databases_are_explained_without_the_password(address: str, words: str) -> None:
    with pytest.raises(StoreError) as caught:
        store.connect(address)
    assert words in str(caught.value)
    assert "s3cret" not in str(caught.value)


def test_the_publish_command_uses_postgresql(postgres, workspace: Path) -> None:  # type: ignore[no-untyped-def]
    url = postgres("by_command")
    done = command(workspace, "quiebra", "publish", QUIEBRA_DATABASE_URL=url)
    assert done.returncode == 0, done.stderr
    assert "predicciones" in done.stdout
    run = store.current_run(store.connect(url))
    assert run is not None
    assert run in done.stdout
    traced = command(workspace, "quiebra", "trace", run, QUIEBRA_DATABASE_URL=url)
    assert f'"run_id": "{run}"' in traced.stdout


def test_a_connection_lost_in_a_transaction_is_said_in_words(postgres) -> None:  # type: ignore[no-untyped-def]
    url = postgres(f"lost{time.time_ns()}")
    engine, other = store.connect(url), store.connect(url)
    store.upgrade_schema(engine)
    lost, noted = pytest.raises(StoreError, match="refused"), AuditRecord("ana", "noted", "a secret of ana's", None, None, "")
    with lost as refused, translate_database_errors(engine), engine.begin() as connection:
        append_entries(connection, [noted])
        with other.connect() as killer:
            killer.execute(text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"))
        append_entries(connection, [noted])
    assert "secret" not in str(refused.value)
    with engine.begin() as connection:
        append_entries(connection, [])


def test_partitions_by_year_on_postgresql(postgres, finished: Path) -> None:  # type: ignore[no-untyped-def]
    engine = store.connect(postgres("partitions"))
    store.upgrade_schema(engine)
    what = read_publication(Workspace(finished))
    store.publish_run(engine, what)
    years = set(what.scores["score_date"].dt.year().to_list())
    assert {f"predicciones_{year}" for year in years} <= set(inspect(engine).get_table_names())


KILLED_UPGRADE = """
import os, sys
from alembic import op
from quiebra import store
made = op.create_table
def stop(name, *columns, **options):
    if name == "modelos":
        os.kill(os.getpid(), 9)
    return made(name, *columns, **options)
op.create_table = stop
store.upgrade_schema(store.connect(sys.argv[1]))
"""


def test_a_killed_migration_leaves_nothing_and_can_be_repeated(url: str) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED_UPGRADE, url], env=environment(), capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    engine = store.connect(url)
    assert "empresas" not in inspect(engine).get_table_names()
    store.upgrade_schema(engine)
    assert set(TABLES) <= set(inspect(engine).get_table_names())


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.db").write_text("not a database, " * 100)
    with pytest.raises(StoreError, match=r"x\.db.*not a database"):
        store.current_run(store.connect(f"sqlite:///{tmp_path / 'x.db'}"))


def test_options_in_the_address_are_not_shown() -> None:
    with pytest.raises(StoreError) as caught:
        store.connect("postgresql://127.0.0.1:1/riesgo?user=ana&password=s3cret")
    assert "s3cret" not in str(caught.value)


def test_two_runs_are_not_mixed(workspace: Path) -> None:
    events = pl.read_parquet(workspace / "data/panel/events.parquet")
    events.head(3).write_parquet(workspace / "data/panel/events.parquet")
    for name in ("publish", "report"):
        done = command(workspace, "quiebra", name)
        assert done.returncode == 1
        assert "changed after the scores were made" in done.stderr


def test_a_filled_database_of_the_first_tables_is_brought_up(url: str) -> None:
    engine = store.connect(url)
    config = Config()
    config.set_main_option("script_location", str(Path(store.__file__).parent / "migrations"))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        alembic_command.upgrade(config, "0001")
        connection.execute(
            text("INSERT INTO empresas (company_id, name, source, simulated) VALUES ('A', 'Alfa', 'table', false)")
        )
        connection.exec_driver_sql("""INSERT INTO modelos (model_id, model_sha256, source, trained_on, rows, failures, params, metrics, card)
                                   VALUES ('m', 'm', 'table', '2010-2015', 10, 5, '{}', '{"walk_forward": {"auc": 0.9}}', '{}')""")
    store.upgrade_schema(engine)
    with engine.connect() as connection:
        assert connection.execute(text("SELECT name FROM empresas")).scalar_one() == "Alfa"
        assert connection.execute(text("SELECT pd_60m, pd_12m_low, scorer FROM v_ultimas_predicciones")).all() == []
    (model,) = store.registered_models(engine)
    assert (model["version"], model["status"]) == (0, "challenger")
