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

  /** Creates a certificate that `ca` signed, and that has expired. */
  issueExpired(name: string): CertificateFiles {
    const files = this.issue(name)
    const request = join(this.folder, `${name}.csr`)
    openssl([
      'x509',
      '-x509toreq',
      '-in',
      files.cert,
      '-signkey',
      files.key,
      '-copy_extensions',
      'copyall',
      '-out',
      request,
    ])
    const signing = ['-CA', this.ca.cert, '-CAkey', this.ca.key, '-copy_extensions', 'copyall']
    openssl(['x509', '-req', '-days', '0', '-in', request, '-out', files.cert, ...signing])
    return files
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
    openssl([...args, ...key, ...names, ...signing])
    return files
  }
}

function openssl(args: readonly string[]): void {
  execFileSync('openssl', args, { stdio: 'pipe' })
}
