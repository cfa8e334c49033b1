"""What is printed before any program has to be loaded."""

SYNTONY = """\
usage: syntony COMMAND [OPTIONS]

Machines that learn to work together when what lies between them is unknown.

  demo                   watch a small team learn (a few minutes)
  train smpe|maa2c       train a team, into a run folder
  resume RUN             let a run go on where it stopped
  evaluate RUN           measure what a run has learned
  list systems|tasks|presets

  COMMAND --help         the options of a command, with units and defaults
  --version

example: syntony train smpe --task Foraging-2s-8x8-3p-2f-coop --seeds 2 --out runs/one
"""

TRAIN = """\
usage: syntony train smpe|maa2c [OPTIONS]

Trains a team from one or more seeds, into a run folder. The same command on the same
folder goes on where it stopped.

  smpe    SMPE²: agents that infer what their teammates see, and seek what is new
  maa2c   recurrent actors and one central critic: the backbone of SMPE², alone

  --task ID              what to learn               (see: syntony list tasks)
  --preset NAME          constants to start from     (see: syntony list presets)
  --steps INT            environment steps of each seed
  --seeds INT            number of seeds, each of which learns alone
  --seed INT             the first seed
  --out DIR              the run folder              (default: a new one in runs/)
  --eval-every INT       environment steps from one evaluation to the next
  --eval-episodes INT    episodes of an evaluation
  --quiet                show nothing

Every constant of a system is an option too: syntony train smpe --help
"""
