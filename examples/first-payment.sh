#!/usr/bin/env bash
# The main job of Doisoat, played against a running `doisoat dev` (make run):
# discounts by law, a payment, a callback that gets lost, money paid twice, a
# service that cannot be delivered, and a day that adds up to the đồng.
#
#   examples/first-payment.sh [path of dev.json]
#
# It needs bash, curl and jq, checks every step itself and stops with a message
# at the first one that differs. It may be run again and again on the same data.
set -euo pipefail

manifest=${1:-${DOISOAT_DEV_JSON:-.doisoat/dev.json}}
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
doisoat=${DOISOAT:-$here/bin/doisoat}

for program in curl jq; do
	command -v "$program" >/dev/null || { echo "first-payment: $program is missing" >&2; exit 1; }
done
[[ -r $manifest ]] || { echo "first-payment: $manifest is not there: start doisoat dev (make run) first" >&2; exit 1; }

api=$(jq -r .api "$manifest")
simulator=$(jq -r .simulator "$manifest")
terminal=$(jq -r .authorities.H41.merchants.vnpay.tmn_code "$manifest")
account=$(jq -r .authorities.H41.merchants.vietqr.account "$manifest")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# ---------------------------------------------------------------- small tools

step() { printf '\n\033[1m%s\033[0m\n' "$*"; }
told() { printf '   %s\n' "$*"; }
fail() {
	printf '\nFAILED: %s\n' "$1" >&2
	[[ -n ${body:-} ]] && printf '%s\n' "$body" | head -c 3000 >&2
	exit 1
}

# ask ROLE METHOD PATH [JSON] puts the answer into $body and its status into $status.
ask() {
	local role=$1 method=$2 path=$3 key
	shift 3
	key=$(jq -r --arg role "$role" '.keys[$role]' "$manifest")
	status=$(curl -sS -o "$work/body" -w '%{http_code}' -X "$method" "$api$path" \
		-H "Authorization: Bearer $key" -H "Idempotency-Key: $(new_key)" \
		${1:+-H 'Content-Type: application/json' --data-binary "$1"}) || fail "$method $path: no answer from $api"
	body=$(cat "$work/body")
}
new_key() { printf 'first-payment-%s-%s%s' "$(date +%s)" "$RANDOM" "$RANDOM"; }

# must STATUS… stops unless the last answer had one of these statuses.
must() {
	local want
	for want in "$@"; do [[ $status == "$want" ]] && return; done
	fail "expected HTTP $*, got $status"
}

# expect WHAT FILTER WANT stops unless jq's FILTER of $body gives WANT.
expect() {
	local got
	got=$(jq -r "$2" <<<"$body" 2>/dev/null) || got='(not JSON)'
	[[ $got == "$3" ]] || fail "$1: expected $3, got $got"
	told "$1: $got"
}

# simulate METHOD PATH [JSON] speaks to the far side.
simulate() {
	local method=$1 path=$2
	shift 2
	status=$(curl -sS -o "$work/body" -w '%{http_code}' -X "$method" "$simulator$path" \
		${1:+-H 'Content-Type: application/json' --data-binary "$1"}) || fail "$method $path: no answer from $simulator"
	body=$(cat "$work/body")
	must 200
}

# until_true WHAT FILTER ROLE PATH asks again until jq's FILTER is true, for a minute.
until_true() {
	local i
	for ((i = 0; i < 120; i++)); do
		ask "$3" GET "$4"
		must 200
		[[ $(jq -r "$2" <<<"$body") == true ]] && { told "$1"; return; }
		sleep 0.5
	done
	fail "$1: not after a minute"
}

# register DATE CHANNEL makes a household business dossier and puts its code into $code.
register() {
	local serial
	serial=$(printf '%s%05d' "$(date +%s)" "$RANDOM")
	code="H41.12-$(tr -d - <<<"${1:2}")-$serial"
	ask portal POST /v1/dossiers "$(jq -n --arg code "$code" --arg at "$1T09:00:00+07:00" --arg channel "$2" '{
		authority: "H41", code: $code, agency: "H41.12", procedure: "1.001612",
		submission: ({channel: $channel, submitted_at: $at} + if $channel == "online" then {service_level: "toan_trinh"} else {} end),
		applicant: {name: "Người nộp mẫu", groups: []},
		items: [{fee_type: "LP_DKKD", base: 100000}]}')"
	must 201
}

# start_payment CODE PROVIDER puts the payment's id, reference and checkout into variables.
start_payment() {
	ask portal POST "/v1/dossiers/$1/payments" "{\"provider\": \"$2\"}"
	must 201
	payment=$(jq -r .id <<<"$body")
	reference=$(jq -r .reference <<<"$body")
	url=$(jq -r '.checkout.url // ""' <<<"$body")
	qr=$(jq -r '.checkout.qr.payload // ""' <<<"$body")
}

# pay TARGET VALUE CALLBACK plays the payer; TARGET is url or qr.
pay() {
	simulate POST /control/pay "$(jq -n --arg target "$1" --arg value "$2" --arg callback "$3" \
		'{outcome: "paid", callback: $callback} + {($target): $value}')"
}

# upload SOURCE FILE brings a statement in.
upload() {
	local key
	key=$(jq -r .keys.accountant "$manifest")
	status=$(curl -sS -o "$work/body" -w '%{http_code}' -X POST "$api/v1/statements" -H "Authorization: Bearer $key" \
		-H "Idempotency-Key: $(new_key)" -F "source=$1" -F "file=@$2") || fail "upload: no answer from $api"
	body=$(cat "$work/body")
	must 200 201
	expect "statement of $1" '.status | IN("accepted", "duplicate")' true
}

# reconcile SOURCE starts the run of today and puts its id into $run.
reconcile() {
	ask accountant POST /v1/runs "{\"source\": \"$1\", \"business_date\": \"$today\"}"
	must 200 201
	run=$(jq -r .id <<<"$body")
	expect "in = matched + listed breaks" '.identity.holds' true
	told "$(jq -r '"in \(.identity.total), matched \(.identity.matched), breaks \(.identity.breaks)"' <<<"$body")"
}

# ---------------------------------------------------------------- the story

# The day by the clock of the far side, in Viet Nam.
simulate GET /control/state
today=$(jq -r '.now | sub("\\..*"; "Z") | fromdate + 7 * 3600 | strftime("%Y-%m-%d")' <<<"$body")

step "1. A household registers its business online on the day resolution 14/2023/NQ-HĐND begins"
register 2023-11-07 online
paid_dossier=$code
expect "fee before" .gross 100000
expect "to pay" .due 60000
expect "legal basis" '.charges[0].applied[0].legal_basis' "14/2023/NQ-HĐND"

step "2. The day before, and at the counter, the same costs the full fee"
register 2023-11-06 online
expect "to pay the day before" .due 100000
expect "why not less" '[.charges[0].not_applied[] | select(.policy == "NA-2023-60")][0].why' not_yet_in_force
register 2023-11-07 direct
expect "to pay at the counter" .due 100000

step "3. The payer pays at VNPAY"
start_payment "$paid_dossier" vnpay
told "pay page $url"
pay url "$url" deliver
ask portal GET "/v1/payments/$payment"
must 200
expect "payment" .status captured
expect "captured" .captured 60000
expect "evidence" '.captures[0].evidence' callback
ask portal GET "/v1/dossiers/$paid_dossier"
expect "outstanding" .outstanding 0
expect "receipt" '.receipts[-1].amount' 60000

step "4. The dossier's own statement of account"
ask portal GET "/v1/dossiers/$paid_dossier/ledger"
must 200
jq -r '.entries[] | "   \(.business_date) \(.description)", (.postings[] | "      \(if .side == "debit" then "Dr" else "   Cr" end) \(.account) \(.amount)")' <<<"$body"
expect "debits = credits in every entry" '[.entries[] | [.postings[] | if .side == "debit" then .amount else -.amount end] | add] | all(. == 0)' true

step "5. Another payer pays, and VNPAY's message is lost"
register 2023-11-07 online
lost_dossier=$code
start_payment "$lost_dossier" vnpay
lost_payment=$payment
pay url "$url" lose
ask portal GET "/v1/payments/$lost_payment"
expect "payment, as far as we know" .status pending

step "6. A payer pays twice: the first payment was given up, then both are paid"
register 2023-11-07 online
double_dossier=$code
start_payment "$double_dossier" vnpay
first_url=$url
first_payment=$payment
ask portal POST "/v1/payments/$first_payment/cancel"
must 200
start_payment "$double_dossier" vnpay
pay url "$url" deliver
pay url "$first_url" deliver
ask portal GET "/v1/payments/$first_payment"
expect "the payment that was given up" .status captured
expect "of it nobody owed" '.captures[0].excess' 60000
until_true "giving it back is proposed" '[.refunds[] | select(.status == "requested" and .amount == 60000)] | length == 1' \
	portal "/v1/dossiers/$double_dossier"

step "7. A service cannot be delivered: the fee goes back through VNPAY"
register 2023-11-07 online
impossible_dossier=$code
start_payment "$impossible_dossier" vnpay
pay url "$url" deliver
ask portal POST "/v1/dossiers/$impossible_dossier/status" \
	"$(jq -n --arg at "$(date -u +%Y-%m-%dT%H:%M:%SZ)" '{status: 4, at: $at, reason: "SERVICE_IMPOSSIBLE"}')"
must 200
expect "dossier" .undeliverable SERVICE_IMPOSSIBLE
until_true "a refund is proposed by the rule table" '[.refunds[] | select(.status == "requested" and .amount == 60000)] | length == 1' \
	portal "/v1/dossiers/$impossible_dossier"
refund=$(jq -r '.refunds[0].id' <<<"$body")
ask chief_accountant POST "/v1/refunds/$refund/approve" '{}'
must 200
told "the chief accountant approved"
until_true "VNPAY has paid it back" '.status == "done"' chief_accountant "/v1/refunds/$refund"
ask portal GET "/v1/dossiers/$impossible_dossier"
expect "refunded" .refunded 60000

step "8. Somebody pays by bank transfer with a VietQR code"
register 2023-11-07 online
transfer_dossier=$code
start_payment "$transfer_dossier" vietqr
pay qr "$qr" deliver
ask portal GET "/v1/payments/$payment"
expect "payment" .status captured
transfer_payment=$payment

step "9. VNPAY's settlement file of $today repairs what was lost"
simulate GET "/control/statement?source=vnpay&merchant=$terminal&date=$today"
cp "$work/body" "$work/vnpay.csv"
upload vnpay "$work/vnpay.csv"
reconcile vnpay
vnpay_run=$run
expect "the refund is matched with its settlement line" '[.lanes[] | select(.lane == "refund") | .count] | add > 0' true
ask portal GET "/v1/payments/$lost_payment"
expect "the payment whose message was lost" .status settled
expect "evidence besides the settlement line" '.captures[0].evidence' inquiry
ask portal GET "/v1/dossiers/$lost_dossier"
expect "its dossier owes" .outstanding 0

step "10. The bank's statement shows VNPAY's lump and the transfer"
simulate GET "/control/statement?source=bank&account=$account&date=$today"
cp "$work/body" "$work/bank.xml"
upload bank "$work/bank.xml"
reconcile bank
bank_run=$run
expect "VNPAY's lump is matched" '[.lanes[] | select(.lane == "payout") | .count] | add > 0' true
ask portal GET "/v1/payments/$transfer_payment"
expect "the transfer" .status settled

step "11. Both runs are closed"
for run in "$vnpay_run" "$bank_run"; do
	ask chief_accountant POST "/v1/runs/$run/close"
	must 200
	expect "run" .status closed
done

step "12. doisoat check recomputes everything"
DOISOAT_DATABASE_URL=$(jq -r .database_url "$manifest") "$doisoat" check --authority H41 || fail "doisoat check found a wrong đồng"

step "Every đồng is where it should be."
