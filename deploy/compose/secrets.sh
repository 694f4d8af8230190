#!/usr/bin/env bash
# Writes fresh secrets for compose.yaml into deploy/compose/secrets. Leaves alone what is there.
set -euo pipefail
umask 022

folder="$(dirname "${BASH_SOURCE[0]}")/secrets"
# The containers read the files under users of their own, so the folder is what keeps others out.
mkdir -p "$folder"
chmod 0700 "$folder"
cd "$folder"

random() { head -c 32 /dev/urandom | base64 -w 0; }
word() { random | tr '+/' '-_' | tr -d '='; }
# put NAME TEXT
put() { [[ -e $1 ]] || printf '%s\n' "$2" >"$1"; }

put edr "whsec_$(random)"
put oncall "$(word)"
# The one that compose.yaml has the sandbox take.
put okta sandbox-okta-token
put postgres "$(word)"
put database-url "postgres://sever:$(<postgres)@postgres:5432/sever"
put rabbitmq "$(word)"
put rabbitmq.conf "default_user = sever
default_pass = $(<rabbitmq)"
put amqp-url "amqp://sever:$(<rabbitmq)@rabbitmq:5672"
echo "The secrets are in $PWD."
