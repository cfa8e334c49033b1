"""What is printed before any program has to be loaded."""

MAIN_HELP = """\
usage: syntony COMMAND [OPTIONS]

Machines that learn to work together when what lies between them is unknown.

  demo                   watch a link and a small team learn (a few minutes)
  train SYSTEM           train a team, into a run folder; SYSTEM is one of
                         smpe, maa2c, mappo, ia2c, ippo, qmix, vdn
  train link             train a transmitter and a receiver over an unknown channel
  resume RUN             let a run go on where it stopped
  watch RUN              follow a run in the terminal
  evaluate RUN           measure what a run has learned
  compare RUN...         which runs are better, and how sure that is
  report RUN...          one HTML file that shows what runs have learned
  figures RUN            pictures of a run for print
  render RUN             a trained team at play, as a GIF
  list systems|tasks|channels|presets

  COMMAND --help         the options of a command, with units and defaults
  --version

examples:
  syntony train smpe --task Foraging-2s-8x8-3p-2f-coop --seeds 2 --out runs/team
  syntony train link --channel awgn --snr-db 10 --out runs/link
  syntony evaluate runs/link --snr-db 0:12:1
"""

TRAIN_HELP = """\
usage: syntony train SYSTEM [OPTIONS]

Trains from one or more seeds, into a run folder. The same command on the same folder
goes on where it stopped.

  smpe    SMPE²: agents that infer what their teammates see, and seek what is new
  maa2c   recurrent actors and one central critic: the backbone of SMPE², alone
  mappo   the same, with PPO's clipped objective
  ia2c    maa2c, with critics that see no more than their agent
  ippo    mappo, with critics that see no more than their agent
  qmix    values of actions, mixed into the team's by a monotonic network
  vdn     values of actions, summed
  link    a transmitter and a receiver that learn a code over a channel nobody models

  --task ID              what a team is to learn     (see: syntony list tasks)
  --channel ID           what lies between both ends (see: syntony list channels)
  --messages INT         how many messages a link is to tell apart
  --uses INT             complex channel uses of a message
  --snr-db FLOAT         signal-to-noise ratio a use while training, in dB
  --gradient policy|spsa|backprop
                         how the transmitter learns
  --feedback ID          how the receiver's losses come back, e.g. quantised?bits=1

  --preset NAME          constants to start from     (see: syntony list presets)
  --steps INT            environment steps of a team, iterations of a link
  --seeds INT            number of seeds, each of which learns alone
  --seed INT             the first seed
  --out DIR              the run folder              (default: a new one in runs/)
  --eval-every INT       steps from one evaluation to the next
  --eval-episodes INT    episodes of an evaluation; blocks, of a link
  --quiet                show nothing
  --tensorboard          write to tensorboard/ in the run folder as well
  --wandb                log to Weights & Biases as well

Every constant of a system is an option too: syntony train link --help
"""
