"""The delay model: which columns it sees, how it is fitted, and how it is judged against a baseline."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import brier_score_loss, roc_auc_score
from threadpoolctl import threadpool_limits

LATE_MINUTES = 15
NUMBERS = (
    "hour",
    "minute",
    "weekday",
    "distance",
    "seats",
    "plane_age",
    "temp",
    "dewp",
    "humid",
    "wind_speed",
    "wind_gust",
    "precip",
    "pressure",
    "visib",
)
CATEGORIES = ("carrier", "origin", "dest")
BASELINE_KEYS = ["origin", "carrier", "hour"]


def features_of(flights: pd.DataFrame, planes: pd.DataFrame) -> pd.DataFrame:
    """What is known of each flight before it leaves, and `late`: 1.0 if it left over 15 minutes late, null if it never left.

    Weather in the scheduled hour stands in for its forecast. Missing values stay missing: the model splits on them.
    """
    date = pd.to_datetime(flights[["year", "month", "day"]])
    aircraft = planes[["tailnum", "year", "seats"]].rename(columns={"year": "built"})
    joined = flights.merge(aircraft, on="tailnum", how="left", validate="many_to_one")
    delay = joined["dep_delay"].astype("float64")
    joined = joined.assign(
        date=date.to_numpy(),
        weekday=date.dt.day_of_week.to_numpy(),
        plane_age=joined["year"].astype("float64") - joined["built"],
        late=(delay > LATE_MINUTES).astype("float64").mask(delay.isna()),
    )
    numbers = joined[list(NUMBERS)].astype("float64")
    return pd.concat([joined[["date", "flight", *CATEGORIES]], numbers, joined[["late"]]], axis=1)


def one_thread() -> threadpool_limits:
    """A block in which scikit-learn uses one thread: beside other steps, several would mostly wait for each other."""
    return threadpool_limits(1, user_api="openmp")


@dataclass(frozen=True)
class DelayModel:
    """A fitted classifier with the categories that it has seen, the baseline that it has to beat, and how both did (see `judge`)."""

    classifier: HistGradientBoostingClassifier
    categories: dict[str, list[str]]
    rates: pd.Series
    overall_rate: float
    trained_until: str
    metrics: dict[str, float | int] = field(default_factory=dict)

    def inputs(self, features: pd.DataFrame) -> pd.DataFrame:
        """The model's columns; a category that was not seen in training counts as missing."""
        columns = features[list(NUMBERS)].copy()
        for name, known in self.categories.items():
            text = features[name].astype("object")
            columns[name] = pd.Categorical(text.where(text.isin(known)), categories=known)
        return columns

    def probability(self, features: pd.DataFrame) -> pd.Series:
        """How likely each flight is to leave late."""
        with one_thread():
            return pd.Series(self.classifier.predict_proba(self.inputs(features))[:, 1], index=features.index)

    def baseline(self, features: pd.DataFrame) -> pd.Series:
        """The share of late flights in training of the same origin, carrier and hour; the overall share where there were none."""
        return features.join(self.rates.rename("rate"), on=BASELINE_KEYS)["rate"].fillna(self.overall_rate)


def fit(features: pd.DataFrame, *, trained_until: str, rounds: int) -> DelayModel:
    """A model of the flights before `trained_until` (ISO date, exclusive) that did leave, judged on those from then on.

    The seed is fixed: equal data give an equal model.
    """
    known = features[(features["date"] < pd.Timestamp(trained_until)) & features["late"].notna()]
    model = DelayModel(
        # Scikit-learn's own settings: nothing was tuned on the days by which the model is judged.
        classifier=HistGradientBoostingClassifier(categorical_features="from_dtype", max_iter=rounds, random_state=0),
        categories={name: sorted(known[name].astype("object").unique()) for name in CATEGORIES},
        rates=known.groupby(BASELINE_KEYS)["late"].mean(),
        overall_rate=float(known["late"].mean()),
        trained_until=trained_until,
    )
    with one_thread():
        model.classifier.fit(model.inputs(known), known["late"].astype("int8"))
    return replace(model, metrics=judge(model, features))


def judge(model: DelayModel, features: pd.DataFrame) -> dict[str, float | int]:
    """Metrics on the flights that left on or after the day until which the model was trained: none of them was seen.

    `auc` (0.5 is chance, more is better) and `brier` (mean squared error of the probability, less is better), each beside the
    baseline's.
    """
    unseen = features[(features["date"] >= pd.Timestamp(model.trained_until)) & features["late"].notna()]
    late = unseen["late"].astype("int8")
    predicted, baseline = model.probability(unseen), model.baseline(unseen)
    seen = features[(features["date"] < pd.Timestamp(model.trained_until)) & features["late"].notna()]
    return {
        "train_flights": len(seen),
        "test_flights": len(unseen),
        "test_late_share": round(float(late.mean()), 4),
        "auc": round(float(roc_auc_score(late, predicted)), 4),
        "auc_baseline": round(float(roc_auc_score(late, baseline)), 4),
        "brier": round(float(brier_score_loss(late, predicted)), 4),
        "brier_baseline": round(float(brier_score_loss(late, baseline)), 4),
    }
