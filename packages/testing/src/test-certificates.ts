import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** The file of a certificate and the file of its key. */
export interface CertificateFiles {
  readonly cert: string
  readonly key: string
}

/**
 * Certificates for `localhost` and 127.0.0.1 in a temporary folder, created with Debian's openssl, since `node:crypto`
 * cannot sign certificates. `dispose` removes the folder.
 */
export class TestCertificates {
  readonly folder = mkdtempSync(join(tmpdir(), 'memcache-ts-tls-'))
  /** The authority that signed the others. */
  readonly ca = this.#make('ca')

  /** Creates a certificate with this common name, signed by `ca` or by itself. */
  issue(name: string, options: { readonly selfSigned?: boolean } = {}): CertificateFiles {
    return this.#make(name, options.selfSigned === true ? undefined : this.ca)
  }

  dispose(): void {
    rmSync(this.folder, { recursive: true, force: true })
  }

  #make(name: string, issuer?: CertificateFiles): CertificateFiles {
    const files = {
      cert: join(this.folder, `${name}.pem`),
      key: join(this.folder, `${name}.key`),
    }
    const signing = issuer === undefined ? [] : ['-CA', issuer.cert, '-CAkey', issuer.key]
    const args = ['req', '-x509', '-nodes', '-days', '30', '-subj', `/CN=${name}`, '-out', files.cert]
    const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-keyout', files.key]
    const names = ['-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1']
    execFileSync('openssl', [...args, ...key, ...names, ...signing], {
      stdio: 'pipe',
    })
    return files
  }
}
