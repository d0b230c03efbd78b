"""What models were trained on, how it went, and how good they are."""

from __future__ import annotations

from lakehouse.tables.declaration import declare

TRAINING_EXAMPLES = declare(
    "gold", "training_examples", "What a model is trained on: one row an example of a training set.",
    key="training_set_id phase position", partition="training_set_id",
    columns="""
    training_set_id STRING -- sha256 of the examples in their order (of a set without a part: of the whole set's id and what it lacks), first 16 hex digits.
    phase STRING -- self_generated (phase 1), original (phase 2) or, where training.arms wants it, a phase that stands for the first: random, a candidate of each published snippet by chance; labelled, those pairs that are about an original's own code.
    position INT -- Place within the phase, from 0.
    pair_id STRING -- gold.instruction_pairs.pair_id (random: the same hash of instruction and response), or the document_id of an original.
    instruction STRING -- The prompt's content.
    response STRING -- What is learnt.
    """,
)  # fmt: skip

MODELS = declare(
    "ops", "models", "Every model the lake knows: one row a model.",
    key="model_id", partition=None,
    columns="""
    model_id STRING -- Name and content hash.
    arm STRING -- base, teacher, or an arm of training/arms.toml: inverse, control, random, labelled_only, originals; inverse-without-BY-VALUE where a part was left out.
    base_model_id STRING -- The model it was trained from; itself for one that came ready-made.
    training_run_id STRING -- The run that made it; empty for one that came ready-made.
    spec STRING -- What the settings named: train:RECIPE, package:NAME, a folder or endpoint:NAME; empty if fine-tuned.
    path STRING -- Folder in Hugging Face layout, relative to the lake's root; empty for one behind an endpoint.
    sha256 STRING -- sha256 over the manifest's file hashes; of name and URL for one behind an endpoint.
    promoted BOOLEAN -- Whether the newest decision of ops.promotions promotes it.
    """,
)  # fmt: skip

PROMOTIONS = declare(
    "ops", "promotions", "Which models are promoted, by whom and why: one row a decision, none is ever changed; the newest about a model holds.",
    key="decision_id", partition=None,
    columns="""
    decision_id STRING -- sha256 of the decision and of how many there were on this model before, first 16 hex digits.
    model_id STRING -- The model.
    kind STRING -- rule (a comparison), person, or withdrawal (of a person's decision, which outranks the rule until then).
    promoted BOOLEAN -- Whether the model is promoted from then on.
    rule_says BOOLEAN? -- What the rule says of it by itself; null while it has not been asked.
    reason STRING -- Why, in words.
    control_model_id STRING? -- The model it rose over, or did not; null where the rule did not decide.
    benchmark STRING? -- The suite that the profile names for promotion.
    gain DOUBLE? -- Its pass@1 there minus the control's, -1 to 1.
    ci_low DOUBLE? -- Lower end of the gain's 95% interval.
    ci_high DOUBLE? -- Upper end of the gain's 95% interval.
    decided_by STRING -- rule, or who decided.
    decided_at TIMESTAMP -- When, UTC.
    """,
)  # fmt: skip

TRAINING_RUNS = declare(
    "ops", "training_runs", "Every fine-tuning run: one row a run.",
    key="training_run_id", partition=None,
    columns="""
    training_run_id STRING -- sha256 of config, arm and training set, first 16 hex digits.
    arm STRING -- base, teacher, or an arm of training/arms.toml: inverse, control, random, labelled_only, originals; inverse-without-BY-VALUE where a part was left out.
    training_set_id STRING -- The examples; for base and teacher the generator's version.
    recipe STRING -- A file of training/recipes.
    seed INT -- Seed of order and initialisation.
    steps INT -- Optimiser steps.
    tokens BIGINT -- Non-padding tokens seen.
    seconds DOUBLE -- Wall seconds of the steps.
    final_loss DOUBLE -- Mean loss of the last 20 steps, nats a token.
    config STRING -- JSON: every number that shaped the run.
    git_sha STRING -- Commit of the code.
    """,
)  # fmt: skip

TRAINING_STEPS = declare(
    "ops", "training_steps", "The course of a run: one row a logged optimiser step.",
    key="training_run_id step", partition=None,
    columns="""
    training_run_id STRING -- The run.
    step INT -- Optimiser step, from 1.
    phase STRING -- Phase of the recipe.
    loss DOUBLE -- Mean loss of the step, nats a token.
    learning_rate DOUBLE -- Rate used by the step.
    tokens_per_second DOUBLE -- Non-padding tokens a second.
    gradient_norm DOUBLE? -- Norm of the step's whole gradient, before it is clipped.
    memory_mb DOUBLE? -- The most memory of the first process so far: its GPU's, or resident.
    """,
)  # fmt: skip

EVALUATION_SAMPLES = declare(
    "ops", "evaluation_samples", "Every completion that was tested: one row a sample of a task.",
    key="model_id benchmark benchmark_version harness task_id sample_index", partition=None,
    columns="""
    model_id STRING -- The model.
    benchmark STRING -- Name of the benchmark.
    benchmark_version STRING -- sha256 of its items, first 12 hex digits.
    harness STRING -- sha256 of how it was asked and tested (decoding, prompts, limits, sandbox), first 12 hex digits.
    task_id STRING -- The task.
    sample_index INT -- From 0; greedy evaluation has one sample.
    completion STRING -- What the model wrote.
    passed BOOLEAN -- Whether every test passed.
    verdict STRING -- passed, failed, error, timeout or refused, with the error's name; missing where a toolchain is: nothing was tested.
    isolation STRING -- The tier of the sandbox that ran it; "same process" after it where the answer could forge the verdict; empty where nothing ran.
    """,
)  # fmt: skip

SCORES = declare(
    "gold", "evaluation_scores", "What models score: one row a model, benchmark and metric.",
    key="model_id benchmark benchmark_version metric", partition=None,
    columns="""
    model_id STRING -- The model.
    arm STRING -- Its arm.
    control_model_id STRING -- The model a gain is measured against; empty for a plain score.
    benchmark STRING -- Name of the benchmark.
    benchmark_version STRING -- sha256 of its items, first 12 hex digits.
    metric STRING -- pass@1 (greedy), pass@K:tT (of samples at temperature T), either with /LANGUAGE for a part of a suite, or a paired difference that names its control: pass@1_gain_over_control, of one pair of models; pass@1_gain_over_control_over_seeds, of several training seeds; of answers at a temperature pass@1:tT_gain_over_control.
    value DOUBLE -- The metric, 0 to 1 (a gain: -1 to 1).
    ci_low DOUBLE -- Lower end of the 95% interval.
    ci_high DOUBLE -- Upper end of the 95% interval.
    n INT -- Tasks that could be tested.
    control_arm STRING? -- A gain's control: its arm, or promoted for the model that was promoted before; null for a plain score.
    p_value DOUBLE? -- Two-sided p of "no gain", by itself; null for a plain score.
    p_holm DOUBLE? -- The same, corrected by Holm over the suites of this comparison.
    seeds INT? -- Training seeds that a gain is over; 1 for one pair of models.
    """,
)  # fmt: skip

STUDY_SCORES = declare(
    "gold", "study_scores", "What a study found: one row a variant, control, suite and seed, and one over all seeds.",
    key="study_id variant control benchmark seed", partition=None,
    columns="""
    study_id STRING -- The study's name and the first 8 hex digits of the sha256 of its definition and settings.
    variant STRING -- What the study calls a way of making training data; arms of one training set bear the arm's name.
    control STRING -- What it is compared with, likewise; empty for its own pass@1.
    benchmark STRING -- Name of the suite.
    benchmark_version STRING -- sha256 of its items, first 12 hex digits.
    seed INT -- The seed; 0 over all of them.
    value DOUBLE -- pass@1, or the difference of two, -1 to 1.
    ci_low DOUBLE -- Lower end of the 95% interval; over all seeds it is of the way of training, not of one model.
    ci_high DOUBLE -- Upper end.
    p_value DOUBLE? -- Two-sided p of "no difference"; null for a pass@1.
    p_holm DOUBLE? -- The same, corrected by Holm over the study's claims on all suites, of this seed.
    n INT -- Tasks.
    seeds INT -- Seeds that the row is over.
    model_id STRING -- The seed's model of the variant; empty over all seeds.
    lake STRING -- The seed's lake, relative to this one's root; empty over all seeds.
    """,
)  # fmt: skip

ATTRIBUTIONS = declare(
    "gold", "attributions", "What a part of a training set moved: one row a part, suite and pair of models with and without it, and one over all training seeds.",
    key="training_set_id arm left_out_by left_out benchmark benchmark_version model_id", partition=None,
    columns="""
    training_set_id STRING -- The whole training set.
    arm STRING -- How both models were trained, but for what was left out: inverse.
    left_out_by STRING -- By what the set was divided: day, source or language.
    left_out STRING -- The day, source or language that was left out.
    pairs INT -- How many self-generated pairs these are.
    benchmark STRING -- Name of the suite.
    benchmark_version STRING -- sha256 of its items, first 12 hex digits.
    model_id STRING -- The model with them; empty over all seeds.
    without_model_id STRING -- The model that was trained for as many steps without them; empty over all seeds.
    seed INT? -- The training seed of both; null over all seeds.
    value DOUBLE -- pass@1 with them minus pass@1 without them, on the same tasks, -1 to 1.
    ci_low DOUBLE -- Lower end of the 95% interval; of one seed it is of these two models, over several of the way of training.
    ci_high DOUBLE -- Upper end.
    p_value DOUBLE -- Two-sided p of "moved nothing", by itself.
    p_holm DOUBLE -- The same, corrected by Holm over all parts and suites of this attribution.
    n INT -- Tasks.
    seeds INT -- Training seeds that the row is over.
    """,
)  # fmt: skip
