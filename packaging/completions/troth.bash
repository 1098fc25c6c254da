# SPDX-License-Identifier: Apache-2.0
# bash completion of troth(1)
_troth()
{
	local nouns='login token agent command attestation attestation-policy key keyset operator release policy audit alert event maintenance status quote collateral version'
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} noun='' verb='' verbs=''
	local i w

	case $prev in
	-o | --output) mapfile -t COMPREPLY < <(compgen -W 'table json' -- "$cur"); return ;;
	esac
	for ((i = 1; i < COMP_CWORD; i++)); do
		w=${COMP_WORDS[i]}
		[[ $w == -* ]] && continue
		if [[ -z $noun ]]; then noun=$w; elif [[ -z $verb ]]; then verb=$w; fi
	done
	case $noun in
	'') verbs=$nouns ;;
	token) verbs='create list revoke' ;;
	agent) verbs='list show explain watch events bpf expect accept reset-identity revoke remove' ;;
	command) verbs='types send list show approve order cancel retry wait' ;;
	attestation) verbs='list show explain replay' ;;
	attestation-policy) verbs='add list show test activate retire' ;;
	key) verbs='list add root-init create adoption promote rotate retire revoke' ;;
	keyset) verbs='show prepare sign publish chain' ;;
	operator) verbs='keygen show' ;;
	release) verbs='sign show add list withdraw' ;;
	policy) verbs='show set test' ;;
	audit) verbs='tail' ;;
	alert) verbs='list show ack resolve' ;;
	event) verbs='list show' ;;
	maintenance) verbs='add list end' ;;
	quote) verbs='show verify simulate' ;;
	collateral) verbs='import show check sign push' ;;
	esac
	if [[ $cur == -* ]]; then
		mapfile -t COMPREPLY < <(compgen -W '--output --json --quiet --profile --watch --help' -- "$cur")
	elif [[ -z $verb ]]; then
		mapfile -t COMPREPLY < <(compgen -W "$verbs" -- "$cur")
	else
		mapfile -t COMPREPLY < <(compgen -f -- "$cur")
	fi
}
complete -F _troth troth
