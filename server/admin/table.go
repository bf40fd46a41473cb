package admin

import (
	"context"

	"grep11/server/admin/command"
)

// row is one command or query.
type row struct {
	name string
	// need is how many administrators must sign in a state; for queries nil.
	need func(s *state, payload []byte) int
	// imprint: possible in imprint mode.
	imprint bool
	// change is the transition, on a copy of the state; the result is the answer.
	change func(x *transition) ([]byte, error)
	// query answers without a change. Caller holds d.mu.
	query func(ctx context.Context, d *Domain, payload []byte) ([]byte, error)
}

// Signature rules, ep11 administration: in imprint mode none, but for leaving it.
func threshold(s *state, _ []byte) int {
	return int(s.attributes[command.XCP_ADMINT_SIGN_THR])
}

func revocation(s *state, _ []byte) int {
	if s.imprint() {
		return 0
	}
	return int(s.attributes[command.XCP_ADMINT_REVOKE_THR])
}

func one(s *state, _ []byte) int { return min(1, threshold(s, nil)) }

// unless takes the threshold, or one signature where a permission allows it.
func unless(permission uint32) func(*state, []byte) int {
	return func(s *state, _ []byte) int {
		if s.has(permission) {
			return one(s, nil)
		}
		return threshold(s, nil)
	}
}

// leaving takes the threshold; in imprint mode the new one, if the payload sets it.
func leaving(s *state, payload []byte) int {
	if !s.imprint() {
		return threshold(s, nil)
	}
	a, err := command.ParseAttributes(payload)
	if err != nil {
		return 0 // the change itself refuses the payload
	}
	return int(min(a[command.XCP_ADMINT_SIGN_THR], uint32(len(s.admins))))
}

// table is every command these units have. It is filled in init, because
// queries lead back to it.
var table map[command.Function]row

func init() {
	table = map[command.Function]row{
		command.XCP_ADM_DOM_ADMIN_LOGIN:    {name: "add administrator", need: threshold, imprint: true, change: addAdministrator},
		command.XCP_ADM_DOM_ADMIN_LOGOUT:   {name: "remove administrator", need: revocation, imprint: true, change: removeAdministrator},
		command.XCP_ADM_DOM_ADMIN_REPLACE:  {name: "replace administrator", need: threshold, imprint: true, change: replaceAdministrator},
		command.XCP_ADM_DOM_SET_ATTR:       {name: "set attributes", need: leaving, imprint: true, change: setAttributes},
		command.XCP_ADM_GEN_DOM_IMPORTER:   {name: "generate importer", need: one, change: generateImporter},
		command.XCP_ADM_GEN_WK:             {name: "generate master key", need: threshold, change: generateKey},
		command.XCP_ADM_EXPORT_WK:          {name: "export master key", need: threshold, change: exportCurrent},
		command.XCP_ADM_EXPORT_NEXT_WK:     {name: "export new master key", need: threshold, change: exportNext},
		command.XCP_ADM_IMPORT_WK:          {name: "import master key", need: nobody, change: importKey},
		command.XCP_ADM_COMMIT_WK:          {name: "commit master key", need: threshold, change: commitKey},
		command.XCP_ADM_FINALIZE_WK:        {name: "finalize master key", need: one, change: finalizeKey},
		command.XCP_ADM_CLEAR_WK:           {name: "clear master key", need: one, change: clearCurrent},
		command.XCP_ADM_CLEAR_NEXT_WK:      {name: "clear new master key", need: one, change: clearNext},
		command.XCP_ADM_DOM_ZEROIZE:        {name: "zeroize", need: unless(command.XCP_ADMP_ZERO_1SIGN), imprint: true, change: zeroize},
		command.XCP_ADM_DOM_CTRLPOINT_SET:  {name: "set control points", need: unless(command.XCP_ADMP_CP_1SIGN), change: setPoints},
		command.XCP_ADM_DOM_CTRLPOINT_ADD:  {name: "add control points", need: unless(command.XCP_ADMP_CP_1SIGN), change: addPoints},
		command.XCP_ADM_DOM_CTRLPOINT_DEL:  {name: "delete control points", need: unless(command.XCP_ADMP_CP_1SIGN), change: deletePoints},
		command.XCP_ADM_REENCRYPT:          {name: "re-encrypt", query: reencrypt},
		command.XCP_ADMQ_DOMADMIN:          {name: "query administrators", query: queryAdministrators},
		command.XCP_ADMQ_DEVICE_CERT:       {name: "query device certificate", query: queryDevice},
		command.XCP_ADMQ_DOM_IMPORTER_CERT: {name: "query importer", query: queryImporter},
		command.XCP_ADMQ_DOM_CTRLPOINTS:    {name: "query control points", query: queryPoints},
		command.XCP_ADMQ_WK:                {name: "query master key", query: queryCurrent},
		command.XCP_ADMQ_NEXT_WK:           {name: "query new master key", query: queryNext},
		command.XCP_ADMQ_DOM_ATTRS:         {name: "query attributes", query: queryAttributes},
		command.XCP_ADMQ_WK_ORIGINS:        {name: "query key part patterns", query: queryOrigins},
		command.XCP_ADMQ_INTERNAL_STATE:    {name: "query state", query: queryState},
		command.XCP_ADMQ_AUDIT_STATE:       {name: "query audit log", query: queryAudit},
	}
}

// nobody: an import's parts are signed, each for itself.
func nobody(*state, []byte) int { return 0 }

// FunctionName is a command's name for people.
func FunctionName(fn command.Function) string { return table[fn].name }
