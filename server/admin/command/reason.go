package command

import (
	"fmt"

	"grep11/pkcs11/ck"
)

// Reason says why a unit refused a command.
type Reason uint32

func (r Reason) String() string {
	if name, ok := namesReason[r]; ok {
		return name
	}
	return fmt.Sprintf("reason %d", uint32(r))
}

// Meaning is the reason in words for an operator.
func (r Reason) Meaning() string {
	if m, ok := meanings[r]; ok {
		return m.words
	}
	return "not a reason these units give"
}

// RV is the return value that goes with a reason in a response block.
func (r Reason) RV() ck.RV {
	if m, ok := meanings[r]; ok {
		return m.rv
	}
	return ck.CKR_FUNCTION_REJECTED
}

// Reasons lists all that these units give.
func Reasons() []Reason {
	all := make([]Reason, 0, len(meanings))
	for r := range meanings {
		all = append(all, r)
	}
	return all
}

// Refusal is a command that was not executed. Detail is for the log of the
// unit; it does not travel.
type Refusal struct {
	Reason Reason
	Detail string
}

// Refuse makes a Refusal.
func Refuse(r Reason, format string, args ...any) error {
	return &Refusal{r, fmt.Sprintf(format, args...)}
}

func (e *Refusal) Error() string {
	text := fmt.Sprintf("%s (reason %d, %v)", e.Reason.Meaning(), uint32(e.Reason), e.Reason)
	if e.Detail != "" {
		text += ": " + e.Detail
	}
	return text
}

func (e *Refusal) Unwrap() error { return e.Reason.RV() }

type meaning struct {
	rv    ck.RV
	words string
}

const (
	malformed = ck.CKR_DATA_INVALID
	rejected  = ck.CKR_FUNCTION_REJECTED
	forbidden = ck.CKR_IBM_STATIC_POLICY
	unsigned  = ck.CKR_SIGNATURE_INVALID
)

// meanings are the reasons these units give, with the meanings of
// EP11's list. What is missing there belongs to commands they do not have.
var meanings = map[Reason]meaning{
	XCP_RSC_NO_IMPORTER:                    {rejected, "no importer key, or a key part is encrypted to another one: generate an importer and encrypt the parts again"},
	XCP_RSC_NO_KEYPARTS:                    {malformed, "import without key parts"},
	XCP_RSC_IMPR_CMDBLK_BER:                {malformed, "the list of key parts is not well-formed DER"},
	XCP_RSC_IMPR_CMDBLK_FIELDS:             {malformed, "a key part's request holds something else than octet strings"},
	XCP_RSC_IMPR_CMDBLK_FIELDCOUNT:         {malformed, "a key part's request does not have four fields"},
	XCP_RSC_IMPR_EMBEDDED_FN:               {malformed, "a key part's request is not for the import function"},
	XCP_RSC_IMPR_DOMAIN_DIFF:               {rejected, "a key part's request is for another domain"},
	XCP_RSC_IMPR_NO_INT_CMDBLK:             {malformed, "a key part's request has no command block"},
	XCP_RSC_IMPR_NO_INT_SIGNATURE:          {unsigned, "a key part's request is not signed"},
	XCP_RSC_IMPR_BAD_CMDBLK_BER:            {malformed, "a key part's command block is malformed"},
	XCP_RSC_CMD_EMBEDDED_FN:                {malformed, "a key part's command block is not an import command"},
	XCP_RSC_CMD_DOMAIN_RANGE:               {rejected, "the unit has no domain of this index"},
	XCP_RSC_DOMAIN_INST_FMT:                {malformed, "the domain is not 8 bytes of index and instance"},
	XCP_RSC_DOMAIN_INST_MISMATCH:           {rejected, "the command is for an earlier life of the domain, before it was zeroized"},
	XCP_RSC_MODULE_INST_FMT:                {malformed, "the module is not 16 bytes of serial number and instance"},
	XCP_RSC_MODULE_INST_MISMATCH:           {rejected, "the command is for an earlier life of the module"},
	XCP_RSC_MODULE_SERNO_MISMATCH:          {rejected, "the command is for another crypto unit (serial number)"},
	XCP_RSC_TCTR_FMT:                       {malformed, "the transaction counter is not 16 bytes"},
	XCP_RSC_TCTR_VALUE:                     {rejected, "the transaction counter was used before (a replayed or overtaken command), or jumps too far"},
	XCP_RSC_SIGS_INSUFFICIENT:              {unsigned, "too few signatures"},
	XCP_RSC_SIGS_REJECTED:                  {unsigned, "a signature is wrong, or an administrator signed twice"},
	XCP_RSC_RCPTINFO_FMT:                   {malformed, "an encrypted key part is malformed"},
	XCP_RSC_RCPTINFO_ENCRD_SIZE:            {malformed, "an encrypted key part has the wrong length for the importer key"},
	XCP_RSC_RCPTINFO_ECDH_SRC:              {malformed, "an encrypted key part's originator key is not a point of the importer's curve"},
	XCP_RSC_RCPTINFO_KDF:                   {malformed, "an encrypted key part names an unknown key derivation or key wrap"},
	XCP_RSC_RCPTINFO_KEY_SIZE:              {malformed, "a key part does not decrypt to 32 bytes (or 64 with the pattern of the key)"},
	XCP_RSC_RCPTINFO_KEY_MIXMODE:           {rejected, "some key parts carry the pattern of the whole key and some do not"},
	XCP_RSC_RCPTINFO_KEY_VPS_DIFF:          {rejected, "the key parts carry patterns of different keys: they are of different ceremonies"},
	XCP_RSC_RCPTINFO_KEY_VPS_MISMATCH:      {rejected, "the key parts do not make the key whose pattern they carry"},
	XCP_RSC_SKI_MALFORMED:                  {malformed, "the administrator's key identifier is not 32 bytes"},
	XCP_RSC_SKI_NOT_FOUND:                  {rejected, "no such administrator"},
	XCP_RSC_MODE_IMPRINT:                   {rejected, "not possible in imprint mode: add administrators and set both thresholds first"},
	XCP_RSC_IMPRINT_EXIT_INVD:              {rejected, "imprint mode cannot be left so: set both thresholds in one command"},
	XCP_RSC_CP_MODE_SET:                    {forbidden, "a control point is for something these units do not do"},
	XCP_RSC_SKI_FOUND:                      {rejected, "the administrator is already there"},
	XCP_RSC_ADMINLIST_FULL:                 {rejected, "the unit has its full number of administrators"},
	XCP_RSC_CERT_FMT:                       {malformed, "the certificate is not recognized"},
	XCP_RSC_ATTRS_FMT:                      {malformed, "the attribute list is malformed"},
	XCP_RSC_ATTRS_TYPE_INVALID:             {malformed, "an attribute, or a bit in one, is unknown"},
	XCP_RSC_ATTRS_REPEAT:                   {malformed, "an attribute is there twice"},
	XCP_RSC_CPS_FMT:                        {malformed, "the control point set is not 16 bytes"},
	XCP_RSC_CPS_SET_INCONSISTENT:           {rejected, "the control points contradict each other: one is on and the one it depends on is off"},
	XCP_RSC_CPS_PREVENT_ADD:                {forbidden, "the policy forbids switching control points on"},
	XCP_RSC_CPS_PREVENT_DEL:                {forbidden, "the policy forbids switching control points off"},
	XCP_RSC_WK_MISMATCH:                    {rejected, "the pattern is malformed, or not that of the master key in the unit"},
	XCP_RSC_WK_MISSING:                     {ck.CKR_IBM_WK_NOT_INITIALIZED, "the unit has no master key"},
	XCP_RSC_NEXT_WK_MISSING:                {ck.CKR_IBM_WK_NOT_INITIALIZED, "the unit has no new master key"},
	XCP_RSC_RANDOM_WK_PROHIBITED:           {forbidden, "the permissions forbid a random master key"},
	XCP_RSC_WKS_PRESENT:                    {rejected, "the register for a new master key is occupied: clear it first"},
	XCP_RSC_IMPR_FIELD_SIZE:                {malformed, "the importer type is not 4 bytes"},
	XCP_RSC_IMPORTER_INVD_TYPE:             {rejected, "unknown importer type"},
	XCP_RSC_IMPR_REVOKE_ZERO:               {rejected, "imprint mode cannot be left with revocation threshold 0"},
	XCP_RSC_IMPR_TOOMANY_SIGNERS:           {rejected, "the signature threshold is above the number of administrators"},
	XCP_RSC_IMPR_TOOMANY_REVOKERS:          {rejected, "the revocation threshold is above the number of administrators"},
	XCP_RSC_COMMITTED_WK_MISSING:           {rejected, "the unit has no committed new master key"},
	XCP_RSC_IMPR_EMBEDDED_FN_FMT:           {malformed, "a key part's request has a function id that is not 4 bytes"},
	XCP_RSC_LOGOUT_BELOW_THRESHOLD:         {rejected, "removing this administrator would leave fewer than the thresholds ask for"},
	XCP_RSC_LOGOUT_NO_SINGLE_SIGN:          {rejected, "removing this administrator would leave one, and single-signed administration is not permitted"},
	XCP_RSC_LOGOUT_LAST_ADMIN:              {rejected, "the last administrator cannot be removed"},
	XCP_RSC_REACTIVATE_RO_ATTRS:            {forbidden, "a permission to change cannot be given back before the unit is zeroized"},
	XCP_RSC_CHG_PROTECTED_ATTRS:            {forbidden, "this permission may no longer be changed"},
	XCP_RSC_CHG_PROTECTED_THRESHOLD:        {forbidden, "the thresholds may no longer be changed (their change permission was cleared)"},
	XCP_RSC_CHG_READONLY_ATTRS:             {rejected, "the attribute is read-only"},
	XCP_RSC_IMPR_MANY_KEYPARTS:             {rejected, "too many key parts"},
	XCP_RSC_LOWERING_SIGNERS_TO_ZERO:       {rejected, "the signature threshold cannot go back to 0: zeroize"},
	XCP_RSC_LOWERING_REVOKERS_TO_ZERO:      {rejected, "the revocation threshold cannot go back to 0: zeroize"},
	XCP_RSC_CHG_SIGNERS_TO_ONE_NO_1SIGN:    {forbidden, "signature threshold 1 needs the permission for single-signed administration"},
	XCP_RSC_CHG_REVOKERS_TO_ONE_NO_1SIGN:   {forbidden, "revocation threshold 1 needs the permission for single-signed administration"},
	XCP_RSC_IMPORT_WK_PROHIBITED:           {forbidden, "the permissions forbid the import of a master key"},
	XCP_RSC_IMPR_SINGLE_KEYPART:            {forbidden, "a master key in a single part needs a permission"},
	XCP_RSC_BLOB_REENCRYPT_REJECT:          {ck.CKR_IBM_BLOB_ERROR, "the key blob cannot be re-encrypted"},
	XCP_RSC_TOO_MANY_SIGNERINFOS:           {malformed, "too many signatures"},
	XCP_RSC_ATTRS_TOO_MANY:                 {malformed, "too many attributes"},
	XCP_RSC_CP_SET_INVALID:                 {malformed, "unknown control points"},
	XCP_RSC_EXPR_KEYPART_LIMIT:             {rejected, "too many key part holders"},
	XCP_RSC_EXPR_KEYPART_ZEROLIMIT:         {rejected, "export to no key part holder"},
	XCP_RSC_EXPR_CERT_INVALID:              {malformed, "a key part holder's public key is not recognized"},
	XCP_RSC_EXPR_SINGLE_KEYPART:            {forbidden, "export of a master key in a single part needs a permission"},
	XCP_RSC_IMPR_KEYPARTS_CONFLICT:         {rejected, "a key part is there twice, or the parts cancel out"},
	XCP_RSC_AUDIT_QUERY_PAYLOAD_SIZE:       {malformed, "an audit query asks with 0 or 8 bytes"},
	XCP_RSC_AUDIT_QUERY_INVALID_INDEX:      {rejected, "the audit log has no record of this number"},
	XCP_RSC_EXPORT_WK_PROHIBITED:           {forbidden, "the permissions forbid the export of a master key"},
	XCP_RSC_ASN_FMT_INVALID:                {malformed, "not a well-formed block or signature (DER)"},
	XCP_RSC_CERT_TYPE_INVALID:              {rejected, "administrators cannot have this type of key"},
	XCP_RSC_ADM_SIG_POLICY_VIOLATION:       {forbidden, "classical signatures cannot be forbidden: these units know no others"},
	XCP_RSC_ADM_SIG_CHANGE_PROHIBITED:      {forbidden, "the permitted kinds of signatures may no longer be changed"},
	XCP_RSC_KEY_STRENGTH_POLICY_VIOLATION:  {forbidden, "an administrator's key is weaker than the unit's minimum"},
	XCP_RSC_KEY_STRENGTH_CHANGE_PROHIBITED: {forbidden, "the minimum key strength may no longer be changed"},
	XCP_RSC_ADM_KTYPE_POLICY_VIOLATION:     {forbidden, "the unit's attributes forbid administrators this type of key"},
	XCP_RSC_ADM_KTYPE_CHANGE_PROHIBITED:    {forbidden, "the permitted types of administrators' keys may no longer be changed"},
}
