package admin

import (
	"crypto/rand"

	"grep11/pkcs11/ck"
	"grep11/server/admin/command"
)

func exportCurrent(x *transition) ([]byte, error) {
	if x.registers.Current == nil {
		return nil, command.Refuse(command.XCP_RSC_WK_MISSING, "")
	}
	return x.export(x.registers.Current)
}

func exportNext(x *transition) ([]byte, error) {
	if x.registers.Next == nil {
		return nil, command.Refuse(command.XCP_RSC_NEXT_WK_MISSING, "")
	}
	return x.export(x.registers.Next)
}

// export splits a key into as many fresh parts as there are holders and encrypts one
// to each. The parts carry the key's pattern. The answer is a SEQUENCE OF OCTET
// STRINGs, a RecipientInfo each, in the holders' order.
func (x *transition) export(key ck.Secret) ([]byte, error) {
	if !x.has(command.XCP_ADMP_WK_EXPORT) {
		return nil, command.Refuse(command.XCP_RSC_EXPORT_WK_PROHIBITED, "")
	}
	request, err := command.ParseExport(x.payload)
	if err != nil {
		return nil, err
	}
	if len(request.Holders) == 1 && !x.has(command.XCP_ADMP_WK_1PART) {
		return nil, command.Refuse(command.XCP_RSC_EXPR_SINGLE_KEYPART, "")
	}
	parts, err := split(key, len(request.Holders))
	if err != nil {
		return nil, err
	}
	var answer command.ExportRequest
	for i, spki := range request.Holders {
		holder, err := command.ParseImporter(spki)
		if err != nil {
			return nil, command.Refuse(command.XCP_RSC_EXPR_CERT_INVALID, "holder %d: %v", i+1, err)
		}
		sealed, err := command.EncryptPart(holder, append(parts[i], command.Pattern(key)...))
		if err != nil {
			return nil, err
		}
		answer.Holders = append(answer.Holders, sealed)
	}
	return answer.Marshal(), nil
}

// split makes n parts whose XOR is the key, n-1 of them random.
func split(key ck.Secret, n int) ([]ck.Secret, error) {
	parts := make([]ck.Secret, n)
	for i := 1; i < n; i++ {
		parts[i] = make(ck.Secret, command.LenKey)
		if _, err := rand.Read(parts[i]); err != nil {
			return nil, err
		}
	}
	parts[0] = command.Combine(append([]ck.Secret{key}, parts[1:]...))
	return parts, nil
}
