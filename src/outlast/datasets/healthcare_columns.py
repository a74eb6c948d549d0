"""The columns of the healthcare data set, by table: what sample rows and generated rows fill alike."""

from __future__ import annotations

from typing import Final

COLUMNS: Final[dict[str, tuple[str, ...]]] = {
    "medical_facilities": ("facility_id", "facility_name", "facility_type", "address_line1", "city", "state",
                           "zip_code", "phone_number"),
    "healthcare_providers": ("provider_id", "license_number", "first_name", "last_name", "specialty", "department",
                             "phone_number", "email", "office_location", "facility_id"),
    "patients": ("patient_id", "medical_record_number", "first_name", "last_name", "date_of_birth", "gender",
                 "blood_type", "phone_number", "email", "emergency_contact_name", "emergency_contact_phone",
                 "address_line1", "city", "state", "zip_code", "insurance_provider", "insurance_policy_number"),
    "appointments": ("appointment_id", "patient_id", "provider_id", "facility_id", "appointment_date",
                     "appointment_time", "duration_minutes", "appointment_type", "status", "chief_complaint"),
    "medical_records": ("record_id", "patient_id", "provider_id", "visit_date", "diagnosis", "treatment",
                        "diagnosis_codes", "procedure_codes", "vital_signs"),
    "prescriptions": ("prescription_id", "patient_id", "provider_id", "medication_name", "dosage", "frequency",
                      "quantity", "refills", "prescribed_date", "status"),
    "lab_results": ("result_id", "patient_id", "provider_id", "test_name", "test_code", "result_value", "unit",
                    "reference_range", "abnormal", "test_date"),
    "audit_log": ("event_time", "actor", "action", "context"),
}  # fmt: skip
"""The columns of each table that rows are loaded into, tables in the order of their references."""
