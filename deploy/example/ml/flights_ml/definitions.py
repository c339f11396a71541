"""Features by day, a delay model that must beat its baseline on days it has not seen, and its predictions for those days."""

from __future__ import annotations

import pandas as pd
import sklearn

import hedgerow as hr
from flights_ml.model import DelayModel, features_of, fit

DAILY = hr.daily("2013-01-01", end="2014-01-01", tz="America/New_York")
TRAINED_UNTIL = "2013-10-01"
HELD_OUT = hr.daily(TRAINED_UNTIL, end="2014-01-01", tz="America/New_York")
OWNERS = ["team:ml"]
VERSIONS = {"pandas": pd.__version__, "scikit-learn": sklearn.__version__}
FOLLOWS = hr.eager(window="all")


class Training(hr.Config):
    """How the model is fitted: the number of boosting rounds."""

    rounds: int = 100


@hr.asset(
    key="flights/ml/features",
    partitions=DAILY,
    deps=[hr.dep("flights/analytics/weather_at_departure", parameter="departures"), "flights/raw/planes"],
    group="delay_model",
    owners=OWNERS,
    kinds={"pandas"},
    tags={"tier": "silver"},
    automation=FOLLOWS,
)
def features(departures: pd.DataFrame, planes: pd.DataFrame) -> hr.Result[pd.DataFrame]:
    """One row per flight: what is known before it leaves, and whether it left over 15 minutes late (null if it was cancelled)."""
    frame = features_of(departures, planes)
    return hr.Result(frame, metadata={"rows": len(frame), **VERSIONS})


flights_are_there = hr.expect.row_count("flights/ml/features", min=1, blocking=True)


@hr.check("flights/ml/features", severity="warn")
def aircraft_are_known(features: pd.DataFrame) -> hr.CheckResult:
    """At most a quarter of the flights are by an aircraft that the list of planes lacks."""
    share = float(features["seats"].isna().mean())
    return hr.CheckResult(share <= 0.25, metadata={"unknown_share": round(share, 4)})


@hr.asset(
    key="flights/ml/delay_model",
    deps=[hr.dep("flights/ml/features", partitions=hr.mapping.all())],
    group="delay_model",
    owners=OWNERS,
    kinds={"scikit-learn"},
    tags={"tier": "gold"},
    timeout="10m",
    # Trained anew when the days have been quiet for an hour, on nothing that a check has doubts about, and at most once a day.
    automation=(FOLLOWS & hr.deps_checks_passed()).debounce("1h").at_most(1, per="1d"),
)
def delay_model(ctx: hr.Context, features: pd.DataFrame, training: Training) -> hr.Result[DelayModel]:
    """Gradient-boosted trees trained on January to September and judged on October to December."""
    model = fit(features, trained_until=TRAINED_UNTIL, rounds=training.rounds)
    ctx.log.info("on %d unseen flights: AUC %.4f", model.metrics["test_flights"], model.metrics["auc"])
    return hr.Result(model, metadata={**model.metrics, **VERSIONS})


@hr.check("flights/ml/delay_model", blocking=True)
def beats_the_baseline(model: DelayModel) -> hr.CheckResult:
    """On unseen days the model ranks and estimates better than the past share of late flights by origin, carrier and hour."""
    metrics = model.metrics
    better = metrics["auc"] > metrics["auc_baseline"] and metrics["brier"] < metrics["brier_baseline"]
    return hr.CheckResult(better, metadata=metrics)


@hr.asset(
    key="flights/ml/delay_predictions",
    partitions=HELD_OUT,
    deps=["flights/ml/features", hr.dep("flights/ml/delay_model", parameter="model")],
    group="delay_model",
    owners=OWNERS,
    kinds={"scikit-learn"},
    tags={"tier": "gold"},
    automation=FOLLOWS,
)
def delay_predictions(features: pd.DataFrame, model: DelayModel) -> hr.Result[pd.DataFrame]:
    """The probability that each flight of a held-out day leaves late, beside what happened."""
    frame = features[["date", "carrier", "flight", "origin", "dest", "hour", "late"]].assign(
        late_probability=model.probability(features)
    )
    return hr.Result(frame, metadata={"rows": len(frame), **VERSIONS})


@hr.check("flights/ml/delay_predictions", blocking=True)
def are_probabilities(predictions: pd.DataFrame) -> hr.CheckResult:
    """Every flight has a probability between 0 and 1."""
    inside = predictions["late_probability"].between(0, 1)
    return hr.CheckResult(bool(inside.all()), metadata={"rows": len(predictions)})


train_and_predict = hr.job("train_and_predict", "team:ml", description="Features, the delay model and its predictions.")
