#!/bin/sh
# Starts SLURM on this machine, for the tests here: a partition `low`, which is the
# default, and `high`, whose jobs preempt those of `low` after 20 s. To be run as root,
# on Debian, after `apt-get install slurm-wlm munge`:
#
#     . tests/cluster/start_slurm.sh && make test-cluster
folder=$(mktemp -d) && mkdir "$folder/state" "$folder/spool"
cat >"$folder/slurm.conf" <<END
ClusterName=test
SlurmctldHost=$(hostname)
SlurmUser=root
SlurmdUser=root
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
ReturnToService=2
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd.log
# More cores than there may be, as trials of the tests are small.
SlurmdParameters=config_overrides
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
PreemptType=preempt/partition_prio
PreemptMode=CANCEL
NodeName=$(hostname) CPUs=4 RealMemory=1000 State=UNKNOWN
PartitionName=low Nodes=ALL Default=YES PriorityTier=1 GraceTime=20 State=UP
PartitionName=high Nodes=ALL PriorityTier=2 State=UP
END
export SLURM_CONF="$folder/slurm.conf"
mkdir -p /run/munge && chown munge /run/munge
pgrep -x munged >/dev/null || runuser -u munge -- munged
slurmctld && slurmd && sinfo
