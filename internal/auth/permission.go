package auth

// Permission is one thing that a role may or may not do.
type Permission string

// The permissions. Reading and changing are apart, making and approving are apart.
const (
	PermQuote          Permission = "quote"
	PermDossierWrite   Permission = "dossier.write"
	PermDossierRead    Permission = "dossier.read"
	PermPaymentCreate  Permission = "payment.create"
	PermPaymentInquire Permission = "payment.inquire"
	PermPaymentRead    Permission = "payment.read"
	PermRefundRequest  Permission = "refund.request"
	PermRefundApprove  Permission = "refund.approve"
	PermRefundConfirm  Permission = "refund.confirm"
	PermRefundRead     Permission = "refund.read"
	PermStatementWrite Permission = "statement.write"
	PermStatementRead  Permission = "statement.read"
	PermReconcile      Permission = "reconcile"
	PermReconcileRead  Permission = "reconcile.read"
	PermCasePropose    Permission = "case.propose"
	PermCaseApprove    Permission = "case.approve"
	PermRunClose       Permission = "run.close"
	PermRemitPropose   Permission = "remittance.propose"
	PermRemitApprove   Permission = "remittance.approve"
	PermRemitRead      Permission = "remittance.read"
	PermDayPropose     Permission = "day.propose"
	PermDayApprove     Permission = "day.approve"
	PermLedgerRead     Permission = "ledger.read"
	PermReportRead     Permission = "report.read"
	PermFeesWrite      Permission = "fees.write"
	PermFeesRead       Permission = "fees.read"
	PermPolicyDraft    Permission = "policy.draft"
	PermPolicyApprove  Permission = "policy.approve"
	PermPolicyPreview  Permission = "policy.preview"
	PermReprice        Permission = "reprice"
	PermMerchantWrite  Permission = "merchant.write"
	PermMerchantRead   Permission = "merchant.read"
	PermSourceWrite    Permission = "source.write"
	PermSourceRead     Permission = "source.read"
	PermKeysWrite      Permission = "keys.write"
	PermKeysRead       Permission = "keys.read"
)

// grant is one row of the table. The literals below name no fields, so the
// compiler refuses a row in which a role was forgotten.
type grant struct {
	portal, accountant, chief, editor, approver, auditor, admin, operator, system bool

	permission Permission
	means      string
}

const x, o = true, false // x: may, o: may not

// grants is the table of rights; docs/permissions.md is printed from it.
var grants = []grant{
	// portal, accountant, chief accountant, policy editor, policy approver, auditor, admin, operator, system
	{x, x, x, x, x, x, x, x, x, PermQuote, "compute a quote; nothing is kept"},
	{x, o, o, o, o, o, o, o, o, PermDossierWrite, "register dossiers, add charges, report their status"},
	{x, x, x, o, o, x, o, o, x, PermDossierRead, "read dossiers, their charges and their own statement of account"},
	{x, o, o, o, o, o, o, o, o, PermPaymentCreate, "create and cancel payments"},
	{x, x, x, o, o, o, o, x, x, PermPaymentInquire, "query the provider about a payment"},
	{x, x, x, o, o, x, o, o, x, PermPaymentRead, "read payments, attempts and captures"},
	{x, x, o, o, o, o, o, o, x, PermRefundRequest, "request a refund (maker)"},
	{o, o, x, o, o, o, o, o, o, PermRefundApprove, "approve or reject a refund (checker)"},
	{o, x, o, o, o, o, o, o, x, PermRefundConfirm, "record that an approved refund was carried out"},
	{x, x, x, o, o, x, o, o, x, PermRefundRead, "read refunds"},
	{o, x, o, o, o, o, o, x, x, PermStatementWrite, "bring in statements"},
	{o, x, x, o, o, x, o, o, x, PermStatementRead, "read statements and their lines"},
	{o, x, o, o, o, o, o, x, x, PermReconcile, "start runs, make and revoke matches"},
	{o, x, x, o, o, x, o, o, x, PermReconcileRead, "read runs, matches, breaks and identifications"},
	{o, x, o, o, o, o, o, o, x, PermCasePropose, "propose which dossier a suspended credit pays (maker)"},
	{o, o, x, o, o, o, o, o, o, PermCaseApprove, "approve or reject which dossier a suspended credit pays (checker)"},
	{o, o, x, o, o, o, o, o, o, PermRunClose, "close a run (checker)"},
	{o, x, o, o, o, o, o, o, o, PermRemitPropose, "divide collection at the end of a period, propose vouchers (maker)"},
	{o, o, x, o, o, o, o, o, o, PermRemitApprove, "approve or reject a voucher to the treasury (checker)"},
	{o, x, x, o, o, x, o, o, x, PermRemitRead, "read splits and vouchers"},
	{o, x, x, o, o, o, o, o, o, PermDayPropose, "propose to close or reopen a business date (maker)"},
	{o, o, x, o, o, o, o, o, o, PermDayApprove, "approve or reject that proposal (checker, another person)"},
	{o, x, x, o, o, x, o, o, x, PermLedgerRead, "read accounts, entries, trial balance and proofs"},
	{o, x, x, o, o, x, o, o, x, PermReportRead, "read reports"},
	{o, o, o, o, o, o, x, x, o, PermFeesWrite, "load fee types and policies"},
	{x, x, x, x, x, x, x, x, x, PermFeesRead, "read fee types, schedules and policies"},
	{o, o, o, x, o, o, o, o, o, PermPolicyDraft, "draft and submit policies (maker)"},
	{o, o, o, o, x, o, o, o, o, PermPolicyApprove, "approve, reject or repeal policies (checker)"},
	{o, x, x, x, x, o, o, o, o, PermPolicyPreview, "replay a policy over recorded dossiers: sums only, nothing is kept"},
	{o, x, o, o, o, o, o, o, o, PermReprice, "propose to reprice the dossiers of a policy found wrong (maker)"},
	{o, o, o, o, o, o, x, x, o, PermMerchantWrite, "register merchant accounts and their secrets"},
	{o, x, x, o, o, x, x, x, x, PermMerchantRead, "read merchant accounts; secrets never come out"},
	{o, o, o, o, o, o, x, x, o, PermSourceWrite, "register statement sources"},
	{o, x, x, o, o, x, x, x, x, PermSourceRead, "read statement sources"},
	{o, o, o, o, o, o, x, x, o, PermKeysWrite, "create and revoke API keys"},
	{o, o, o, o, o, x, x, x, o, PermKeysRead, "list API keys; secrets never come out"},
}

var allowed = func() map[Permission]map[Role]bool {
	m := make(map[Permission]map[Role]bool, len(grants))
	for _, g := range grants {
		m[g.permission] = map[Role]bool{
			RolePortal: g.portal, RoleAccountant: g.accountant, RoleChiefAccountant: g.chief,
			RolePolicyEditor: g.editor, RolePolicyApprover: g.approver, RoleAuditor: g.auditor,
			RoleAdmin: g.admin, RoleOperator: g.operator, RoleSystem: g.system,
		}
	}
	return m
}()

// Allowed reports whether the table gives permission to role. Unknown roles and permissions are refused.
func Allowed(role Role, permission Permission) bool { return allowed[permission][role] }
