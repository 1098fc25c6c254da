# SPDX-License-Identifier: Apache-2.0
# bash completion of troth-agent(8)
_troth_agent()
{
	local commands='init enroll run status announce rotate-key configure journal tee send receive peers peer secretvm version'
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} command='' verb='' words=''
	local i w

	for ((i = 1; i < COMP_CWORD; i++)); do
		w=${COMP_WORDS[i]}
		[[ $w == -* ]] && continue
		if [[ -z $command ]]; then command=$w; elif [[ -z $verb ]]; then verb=$w; fi
	done
	case $prev in
	-o | --output) mapfile -t COMPREPLY < <(compgen -W 'text json' -- "$cur"); return ;;
	--kind) mapfile -t COMPREPLY < <(compgen -W 'tdx snp sgx' -- "$cur"); return ;;
	esac
	case $command${verb:+ }$verb in
	'') words=$commands ;;
	announce) words='shutdown reboot update restart none' ;;
	journal) words='show reset' ;;
	tee) words='show use simulate-root' ;;
	'tee use') words='auto tdx snp tpm secretvm simulated none' ;;
	esac
	if [[ $cur == -* ]]; then
		[[ -n $command ]] && words=$("${COMP_WORDS[0]}" "$command" --help 2>/dev/null | grep -o -e '--[a-z][a-z-]*')
		mapfile -t COMPREPLY < <(compgen -W "${words:---help}" -- "$cur")
	elif [[ -n $words ]]; then
		mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
	else
		mapfile -t COMPREPLY < <(compgen -f -- "$cur")
	fi
}
complete -F _troth_agent troth-agent
