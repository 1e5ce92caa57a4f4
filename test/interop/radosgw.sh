#!/usr/bin/env bash
# A throw-away Ceph with its S3 gateway: one monitor, one OSD in memory, one radosgw, all on loopback. It needs no root
# and is up in some seconds.   usage: radosgw.sh start|stop
#
# Debian packages: radosgw ceph-mon ceph-osd ceph-common curl. No ceph-mgr: nothing here looks at its health.
set -euo pipefail

dir=${RGW_DIR:?a folder of its own, removed by stop}
port=${RGW_PORT:?} mon_port=${RGW_MON_PORT:?}
access_key=${RGW_ACCESS_KEY:-testkey} secret_key=${RGW_SECRET_KEY:-testsecret}
conf="--conf $dir/ceph.conf"
user=""
[ "$(id -u)" = 0 ] && user="--setuser root --setgroup root"

write_conf() {
  cat > "$dir/ceph.conf" <<CONF
[global]
fsid = $1
mon host = [v2:127.0.0.1:$mon_port/0,v1:127.0.0.1:$((mon_port + 1))/0]
public addr = 127.0.0.1
cluster addr = 127.0.0.1
auth cluster required = none
auth service required = none
auth client required = none
run dir = $dir/run
admin socket = $dir/run/\$cluster-\$name.asok
pid file = $dir/run/\$name.pid
log file = $dir/log/\$name.log
mon cluster log file = $dir/log/cluster.log
crash dir = $dir/log
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 8
osd pool default pgp num = 8
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
mon max pg per osd = 1000
mon allow pool size one = true
mon warn on pool no redundancy = false
mon data avail crit = 1
mon data avail warn = 2
auth allow insecure global id reclaim = false
osd class load list = *
osd class default list = *
ms bind ipv6 = false
[mon]
mon data = $dir/mon
mon initial members = a
paxos propose interval = 0.05
paxos min wait = 0.01
mon pg check down all threshold = 0
[osd]
osd data = $dir/osd
osd objectstore = memstore
memstore device bytes = 2147483648
memstore page set = true
osd op num shards = 2
osd journal size = 100
[client.rgw.t]
ms mon client mode = crc
rgw frontends = beast endpoint=127.0.0.1:$port tcp_nodelay=1
rgw thread pool size = 64
rgw data = $dir/rgw
rgw dns name = localhost
rgw enable usage log = false
rgw enable ops log = false
rgw crypt require ssl = false
rgw crypt s3 kms backend = testing
rgw crypt s3 kms encryption keys = key-1=$(head -c 32 /dev/urandom | base64)
CONF
}

until_true() {
  for _ in $(seq 150); do
    "$@" && return
    sleep 0.2
  done
  echo "radosgw.sh: this did not become true: $*" >&2
  return 1
}
osd_is_up() { ceph $conf --connect-timeout 5 osd stat 2>/dev/null | grep -q '1 up'; }
gateway_answers() { curl -s -o /dev/null "http://127.0.0.1:$port/"; }
pids() { cat "$dir"/run/{client.rgw.t,osd.0,mon.a}.pid 2>/dev/null || true; }
all_gone() { for pid in $(pids); do if kill -0 "$pid" 2>/dev/null; then return 1; fi; done; }

case "${1:-}" in
start)
  mkdir -p "$dir"/{mon,osd,rgw,run,log}
  fsid=$(cat /proc/sys/kernel/random/uuid)
  write_conf "$fsid"
  monmaptool --create --clobber --fsid "$fsid" --addv a "[v2:127.0.0.1:$mon_port,v1:127.0.0.1:$((mon_port + 1))]" "$dir/monmap" >/dev/null
  ceph-mon $conf -i a --mkfs --monmap "$dir/monmap" $user
  ceph-mon $conf -i a $user
  osd_id=$(cat /proc/sys/kernel/random/uuid)
  ceph $conf osd new "$osd_id" 0 >/dev/null
  ceph-osd $conf -i 0 --mkfs --osd-uuid "$osd_id" $user >"$dir/log/osd-mkfs.out" 2>&1
  ceph $conf osd crush add-bucket localhost host >/dev/null 2>&1
  ceph $conf osd crush move localhost root=default >/dev/null 2>&1
  ceph $conf osd crush add osd.0 1.0 root=default host=localhost >/dev/null 2>&1
  ceph-osd $conf -i 0 $user >"$dir/log/osd.out" 2>&1
  until_true osd_is_up
  radosgw-admin $conf -n client.rgw.t user create --uid=test --display-name=Test \
    --access-key="$access_key" --secret="$secret_key" >"$dir/log/user.out" 2>&1
  radosgw $conf -n client.rgw.t $user
  until_true gateway_answers
  ;;
stop)
  # What they hold is thrown away, so they need not put it in order.
  for pid in $(pids); do kill -9 "$pid" 2>/dev/null || true; done
  until_true all_gone
  rm -rf "$dir"
  ;;
*)
  echo "usage: radosgw.sh start|stop" >&2
  exit 2
  ;;
esac
